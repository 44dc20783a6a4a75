import {
  copyFileSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { MesoError, type Problem } from "../../base/error.ts";
import { sortedBy } from "../../base/order.ts";
import type { Builtin } from "../../store/builtin.ts";

/**
 * One tree out of many: the variable `trees` names them by path, one a line; `layout` (JSON) says which links and small
 * files are added where no tree has anything. Files are hard links to those of the trees, so that it costs no space.
 *
 * @throws MesoError `path-conflict` when two trees have different things at one path.
 */
export const unionBuiltin: Builtin = async ({ items, derivation, place }) => {
  const trees = derivation.environment.get("trees")!.split("\n").filter(Boolean);
  const root = place("out");
  mkdirSync(root);
  const problems: Problem[] = [];
  for (const tree of trees) merge(items.physicalPath(tree), root, problems);
  if (problems.length > 0) throw new MesoError(problems);
  const { links, files } = JSON.parse(derivation.environment.get("layout")!) as Layout;
  for (const [path, targets] of sortedBy(Object.entries(links), ([name]) => name)) {
    const target = targets.find((one) => existsSync(join(root, dirname(path), one)));
    if (target !== undefined && isFree(root, path)) symlinkSync(target, join(root, path));
  }
  for (const [path, text] of sortedBy(Object.entries(files), ([name]) => name)) {
    if (isFree(root, path)) writeFileSync(join(root, path), text);
  }
};

/** What a union holds beside its trees, by path without a leading slash. */
export interface Layout {
  /** Names of files beside the link, of which the first that is there is taken; no link where none is. */
  readonly links: Readonly<Record<string, readonly string[]>>;
  readonly files: Readonly<Record<string, string>>;
}

function isFree(root: string, path: string): boolean {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  return !lstatSync(join(root, path), { throwIfNoEntry: false });
}

function merge(from: string, to: string, problems: Problem[]): void {
  for (const name of readdirSync(from)) {
    const [source, target] = [join(from, name), join(to, name)];
    const [status, present] = [lstatSync(source), lstatSync(target, { throwIfNoEntry: false })];
    if (status.isDirectory()) {
      if (!present) mkdirSync(target);
      else if (!present.isDirectory()) {
        problems.push(conflict(source, target));
        continue;
      }
      merge(source, target, problems);
    } else if (present) {
      if (!isSame(source, target)) problems.push(conflict(source, target));
    } else if (status.isSymbolicLink()) symlinkSync(readlinkSync(source), target);
    else link(source, target);
  }
}

function link(source: string, target: string): void {
  try {
    linkSync(source, target);
  } catch (error) {
    // Some file systems allow few names for one file, or none beside the first.
    if (!["EMLINK", "EPERM", "EXDEV", "ENOTSUP"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    copyFileSync(source, target);
  }
}

function isSame(one: string, other: string): boolean {
  const [left, right] = [lstatSync(one), lstatSync(other)];
  if (left.isSymbolicLink() && right.isSymbolicLink()) return readlinkSync(one) === readlinkSync(other);
  return left.isFile() && right.isFile() && left.size === right.size && readFileSync(one).equals(readFileSync(other));
}

function conflict(source: string, target: string): Problem {
  return {
    code: "path-conflict",
    what: `${source} is in the way of what another tree has at ${target.replace(/^.*?\/made\/[^/]*/, "")}`,
  };
}
