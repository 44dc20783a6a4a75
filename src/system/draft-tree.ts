import { failure } from "../base/error.ts";
import type { FileEntry, FileTree, TreeEntry } from "../store/file-tree.ts";

/** A tree while it is being composed; complete, with all parents, only when `completeTree` has seen it. */
export type DraftTree = Map<string, TreeEntry>;

/**
 * Time of everything generated, seconds since 1970: fixed, so that it never tells one build from another,
 * and not zero, which some programs take for "no time".
 */
export const generatedTime = 1;

interface Placement {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly origin: string;
}

const encoder = new TextEncoder();

/** A regular file with contents made by us; owner root and mode 0644 unless said. */
export function generatedFile(content: string | Uint8Array, placement: Placement): FileEntry {
  const bytes = typeof content === "string" ? encoder.encode(content) : content;
  return { kind: "file", ...attributes(placement, 0o644), size: bytes.length, content: { kind: "bytes", bytes } };
}

export function generatedLink(target: string, placement: Placement): TreeEntry {
  return { kind: "symlink", ...attributes(placement, 0o777), target };
}

export function generatedDirectory(placement: Placement): TreeEntry {
  return { kind: "directory", ...attributes(placement, 0o755) };
}

function attributes({ mode, uid = 0, gid = 0, origin }: Placement, usualMode: number) {
  return { mode: mode ?? usualMode, uid, gid, mtime: generatedTime, origin };
}

const maximumLinks = 40;

/**
 * Where a path leads when every symbolic link on the way is followed, the last name too: absolute, and maybe
 * not in the tree. Throws on loops.
 */
export function realPath(tree: FileTree, path: string): string {
  let links = 0;
  let done = "";
  let rest = path.split("/").filter((name) => name !== "" && name !== ".");
  while (rest.length > 0) {
    const name = rest[0]!;
    rest = rest.slice(1);
    if (name === "..") {
      done = done.slice(0, done.lastIndexOf("/"));
      continue;
    }
    const next = `${done}/${name}`;
    const entry = tree.get(next);
    if (entry?.kind !== "symlink") {
      done = next;
      continue;
    }
    if (++links > maximumLinks) throw failure("link-loop", `${path} goes round in circles of symbolic links`);
    if (entry.target.startsWith("/")) done = "";
    rest = [...entry.target.split("/").filter((part) => part !== "" && part !== "."), ...rest];
  }
  return done === "" ? "/" : done;
}

/** The regular file at a path, links followed; `undefined` when there is none. */
export function fileAt(tree: FileTree, path: string): FileEntry | undefined {
  const entry = tree.get(realPath(tree, path));
  if (entry?.kind === "hardlink") return fileAt(tree, entry.target);
  return entry?.kind === "file" ? entry : undefined;
}

/** Puts an entry where its path leads when the folders on the way are followed; parents are made as needed. */
export function place(tree: DraftTree, path: string, entry: TreeEntry): string {
  const cut = path.lastIndexOf("/");
  const folder = cut <= 0 ? "" : realPath(tree, path.slice(0, cut));
  const real = `${folder === "/" ? "" : folder}/${path.slice(cut + 1)}`;
  makeParents(tree, real, entry.origin);
  tree.set(real, entry);
  return real;
}

/** Gives every entry the folders above it, and the root. */
export function completeTree(tree: DraftTree): void {
  if (!tree.has("/")) tree.set("/", generatedDirectory({ origin: "system" }));
  // Folders that are added meanwhile are visited too, and have all that is above them.
  for (const [path, entry] of tree) makeParents(tree, path, entry.origin);
}

function makeParents(tree: DraftTree, path: string, origin: string): void {
  for (let cut = path.lastIndexOf("/"); cut > 0; cut = path.lastIndexOf("/", cut - 1)) {
    const parent = path.slice(0, cut);
    const found = tree.get(parent);
    if (found?.kind === "directory") return;
    if (found !== undefined) {
      throw failure(
        "not-a-folder",
        `${path} (of ${origin}) lies below ${parent}, which is a ${found.kind} of ${found.origin}`,
      );
    }
    tree.set(parent, generatedDirectory({ origin }));
  }
}
