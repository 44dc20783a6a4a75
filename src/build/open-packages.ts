import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { failure } from "../base/error.ts";
import { nearestHint } from "../base/nearest.ts";
import { isSourcePackage, type SourcePackage } from "../packages/source-package.ts";
import { loadModule } from "./load-program.ts";

/** The file of a folder, or of one above it, that packages are looked for in by their bare names. */
export const packagesFileName = "packages.ts";

export interface OpenedPackages {
  /** Absolute path of the program. */
  readonly file: string;
  /** By the name they are exported by; `default` too. */
  readonly packages: ReadonlyMap<string, SourcePackage>;
}

/**
 * The packages that `FILE` exports, `FILE#NAME` names, or that the nearest `packages.ts` has under the bare `NAME`; names
 * are those of exports, of packages, or `name@version`.
 *
 * @throws MesoError `no-packages`, `unknown-package`, and those of loading a program.
 */
export async function openPackages(wish: string, folder = process.cwd()): Promise<OpenedPackages> {
  const { file, name } = placeOf(wish, folder);
  const module = await loadModule(file);
  const found = new Map<string, SourcePackage>();
  for (const [key, value] of Object.entries(module)) {
    if (isSourcePackage(value)) found.set(key, value);
    if (Array.isArray(value))
      value.filter(isSourcePackage).forEach((one) => void found.set(`${one.name}@${one.version}`, one));
  }
  if (found.size === 0) {
    throw failure("no-packages", `${file} exports no package`, {
      expected: "export const hello = sourcePackage({ … })",
    });
  }
  if (name === undefined) return { file, packages: found };
  const exact = [...found].filter(
    ([key, one]) => key === name || one.name === name || `${one.name}@${one.version}` === name,
  );
  const first = exact.find(([key]) => key === name) ?? exact.at(-1);
  if (first) return { file, packages: new Map([first]) };
  const names = [...found].flatMap(([key, one]) => [key, one.name]);
  throw failure("unknown-package", `${file} has no package ${JSON.stringify(name)}`, nearestHint(name, names));
}

function placeOf(wish: string, folder: string): { file: string; name?: string } {
  const hash = wish.lastIndexOf("#");
  if (hash > 0) return { file: resolve(folder, wish.slice(0, hash)), name: wish.slice(hash + 1) };
  if (/\.[cm]?[jt]s$/.test(wish) || wish.includes("/")) return { file: resolve(folder, wish) };
  for (let at = resolve(folder); ; at = dirname(at)) {
    const file = join(at, packagesFileName);
    if (existsSync(file)) return { file, name: wish };
    if (dirname(at) === at) break;
  }
  throw failure("no-packages", `there is no ${packagesFileName} here or above`, {
    expected: "FILE, FILE#NAME, or a folder with packages.ts to look for NAME in",
  });
}
