import { posix } from "node:path";
import { isElf, readElf } from "../base/elf.ts";
import { failure } from "../base/error.ts";
import { multiarch } from "../base/multiarch.ts";
import { compareBytes, sortedBy } from "../base/order.ts";
import type { FileEntry, FileTree } from "./file-tree.ts";

export interface ClosureOptions {
  readonly tree: FileTree;
  /** Programs by absolute path: `/usr/bin/kmod`. */
  readonly binaries: readonly string[];
  /** Further files, or folders with all they hold: what programs open without being linked to it. */
  readonly extraPaths?: readonly string[];
  readonly read: (entry: FileEntry) => Uint8Array | Promise<Uint8Array>;
}

/** One path of a tool root: a regular file, or a link kept as it is. */
export interface ToolPath {
  readonly path: string;
  readonly entry: FileEntry | { readonly kind: "symlink"; readonly target: string };
}

/** Every path that a tool root holds, sorted: files, and the links on the way to them. */
export async function toolClosure(options: ClosureOptions): Promise<ToolPath[]> {
  const resolve = treeResolver(options.tree);
  const found = new Map<string, ToolPath["entry"]>();
  const unmet: { name: string; neededBy: string }[] = [];
  const queue: { path: string; neededBy: string }[] = [
    ...options.binaries.map((path) => ({ path, neededBy: "the caller" })),
    ...(options.extraPaths ?? []).flatMap((path) => below(options.tree, resolve, path)),
  ];
  for (let next = queue.pop(); next; next = queue.pop()) {
    const resolved = resolve(next.path);
    if (!resolved) throw missing(next.path, next.neededBy);
    for (const [path, target] of resolved.links) found.set(path, { kind: "symlink", target });
    if (found.has(resolved.path)) continue;
    found.set(resolved.path, resolved.entry);
    const bytes = await options.read(resolved.entry);
    if (!isElf(bytes)) continue;
    const { paths, absent } = dependencies(bytes, resolved.path, resolve);
    for (const path of paths) queue.push({ path, neededBy: resolved.path });
    for (const name of absent) unmet.push({ name, neededBy: resolved.path });
  }
  // ld.so(8) looks for no library that it has loaded by that name already, on whosever behalf.
  const loaded = new Set([...found.keys()].map((path) => posix.basename(path)));
  for (const { name, neededBy } of unmet) if (!loaded.has(name)) throw missing(name, neededBy);
  return sortedBy([...found], ([path]) => path).map(([path, entry]) => ({ path, entry }));
}

interface Resolved {
  readonly path: string;
  readonly entry: FileEntry;
  /** The links followed, by path. */
  readonly links: ReadonlyMap<string, string>;
}

type Resolver = (path: string) => Resolved | undefined;

interface Dependencies {
  readonly paths: readonly string[];
  /** Libraries that are in none of the folders where this object has them looked for. */
  readonly absent: readonly string[];
}

function dependencies(bytes: Uint8Array, path: string, resolve: Resolver): Dependencies {
  const elf = readElf(bytes, path);
  if (elf.type === "relocatable") return { paths: [], absent: [] };
  const triplet = multiarch.find(({ elfMachine }) => elfMachine === elf.machine)?.triplet;
  const folders = [
    ...(elf.runpath.length > 0 ? elf.runpath : elf.rpath).map((folder) => expandOrigin(folder, path)),
    ...(triplet ? [`/usr/lib/${triplet}`, `/lib/${triplet}`] : []),
    ...["/usr/lib64", "/usr/lib", "/lib64", "/lib"],
  ];
  const paths = elf.interpreter === undefined ? [] : [elf.interpreter];
  const absent: string[] = [];
  for (const name of elf.needed) {
    const folder = name.includes("/") ? undefined : folders.find((one) => resolve(posix.join(one, name)));
    if (name.includes("/")) paths.push(expandOrigin(name, path));
    else if (folder === undefined) absent.push(name);
    else paths.push(posix.join(folder, name));
  }
  return { paths, absent };
}

function expandOrigin(folder: string, path: string): string {
  return folder.replace(/\$ORIGIN|\$\{ORIGIN\}/g, posix.dirname(path));
}

/** As Linux limits it (path_resolution(7)). */
const maxLinks = 40;

/**
 * Follows symbolic links and hard links inside the tree. The usr-merge links are taken for granted where
 * the tree has none: a tool root is often made of a few packages without base-files, which ships them.
 */
function treeResolver(tree: FileTree): Resolver {
  return (path) => {
    const links = new Map<string, string>();
    let rest = posix.normalize(path).split("/").filter(Boolean);
    let at = "/";
    let followed = 0;
    while (rest.length > 0) {
      const here = posix.join(at, rest[0]!);
      const entry = tree.get(here) ?? mergedLink(tree, here);
      if (!entry) return undefined;
      if (entry.kind === "symlink") {
        if (++followed > maxLinks) return undefined;
        links.set(here, entry.target);
        rest = posix
          .resolve(at, entry.target, ...rest.slice(1))
          .split("/")
          .filter(Boolean);
        at = "/";
        continue;
      }
      if (rest.length === 1) {
        const file = entry.kind === "hardlink" ? tree.get(entry.target) : entry;
        return file?.kind === "file" ? { path: here, entry: file, links } : undefined;
      }
      if (entry.kind !== "directory") return undefined;
      at = here;
      rest = rest.slice(1);
    }
    return undefined;
  };
}

function mergedLink(tree: FileTree, path: string) {
  if (!/^\/(bin|sbin|lib\d*|libx32)$/.test(path) || !tree.has(`/usr${path}`)) return undefined;
  return { kind: "symlink", target: `usr${path}` } as const;
}

function below(tree: FileTree, resolve: Resolver, path: string): { path: string; neededBy: string }[] {
  if (tree.get(path)?.kind !== "directory") return [{ path, neededBy: "the caller" }];
  const inside = [...tree].filter(([name, entry]) => name.startsWith(`${path}/`) && entry.kind !== "directory");
  // A link that leads out of what was unpacked is of no use to the tool, and no fault of the caller.
  const whole = inside.filter(([name]) => resolve(name));
  return whole.map(([name]) => ({ path: name, neededBy: path })).sort((a, b) => compareBytes(a.path, b.path));
}

function missing(path: string, neededBy: string) {
  return failure("missing-tool", `${path}, needed by ${neededBy}, is in none of the packages given`, {
    hint: "add the package that ships it to the inputs of this build",
  });
}
