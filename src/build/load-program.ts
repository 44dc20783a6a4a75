import { existsSync, statSync } from "node:fs";
import { registerHooks } from "node:module";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { failure } from "../base/error.ts";
import { explainProgramError } from "./explain-program-error.ts";

/** A person's program, run: its default export and where the file is. */
export interface LoadedProgram {
  /** Absolute path. */
  readonly file: string;
  readonly value: unknown;
}

/**
 * Runs a TypeScript program and gives its default export. `import … from "mesoforge"` finds this very project,
 * wherever the program lies, so that a person's folder needs no installation step.
 *
 * @throws MesoError when the file is missing, is not valid TypeScript, or throws while it runs.
 */
export async function loadProgram(path: string): Promise<LoadedProgram> {
  const module = await loadModule(path);
  return { file: resolve(path), value: module.default };
}

/** The same with everything that the program exports, by name. */
export async function loadModule(path: string): Promise<Readonly<Record<string, unknown>>> {
  const file = resolve(path);
  if (!existsSync(file) || !statSync(file).isFile()) {
    throw failure("no-such-file", `${path}: no such file`, {
      expected: "a TypeScript file whose default export is an operating system, or a centre",
      hint: "examples/mini-1.ts is the smallest one",
    });
  }
  resolveOwnName();
  try {
    return await import(pathToFileURL(file).href);
  } catch (error) {
    throw await explainProgramError(error, path, entrances, [...reached]);
  }
}

/** What programs import from this project, by the name they use. */
const entrances: Readonly<Record<string, string>> = {
  mesoforge: new URL("../index.ts", import.meta.url).href,
  "mesoforge/packages": new URL("../packages/index.ts", import.meta.url).href,
  "mesoforge/services": new URL("../services/index.ts", import.meta.url).href,
  "mesoforge/testing": new URL("../testing/index.ts", import.meta.url).href,
};

let resolving = false;
/** Files of programs that Node was led to, by path. */
const reached = new Set<string>();

/** From now on, whatever this process imports finds this project by its name. */
export function resolveOwnName(): void {
  if (resolving) return;
  resolving = true;
  registerHooks({
    resolve(specifier, context, next) {
      const url = entrances[specifier];
      if (url) return { url, format: "module-typescript", shortCircuit: true };
      const found = next(specifier, context);
      if (isOfProgram(found.url)) reached.add(fileURLToPath(found.url));
      return found;
    },
  });
}

function isOfProgram(url: string): boolean {
  const own = new URL("..", import.meta.url).href;
  return url.startsWith("file:") && !url.startsWith(own) && !url.includes("/node_modules/");
}
