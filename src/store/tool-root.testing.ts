import { execFileSync } from "node:child_process";
import { lstatSync, readFileSync, readlinkSync } from "node:fs";
import { posix } from "node:path";
import type { FileEntry, TreeEntry } from "./file-tree.ts";

/** For tests: the part of the host's own tree that these programs need, as `ldd` says, links included. */
export async function hostTree(programs: readonly string[]) {
  const tree = new Map<string, TreeEntry>();
  for (const program of programs) {
    const linked = execFileSync("ldd", [program], { encoding: "utf8" }).matchAll(/(\/\S+) \(0x/g);
    for (const path of [program, ...[...linked].map((match) => match[1]!)]) add(tree, path);
  }
  const read = (entry: FileEntry) => (entry.content.kind === "bytes" ? entry.content.bytes : Buffer.alloc(0));
  return { tree, read };
}

const attributes = { uid: 0, gid: 0, mtime: 0, origin: "host" };

/** Every step on the way to a file: folders, links, the file itself. */
function add(tree: Map<string, TreeEntry>, path: string): void {
  let at = "/";
  let rest = path.split("/").filter(Boolean);
  while (rest.length > 0) {
    const here = posix.join(at, rest[0]!);
    const stat = lstatSync(here);
    if (stat.isSymbolicLink()) {
      const target = readlinkSync(here);
      tree.set(here, { ...attributes, kind: "symlink", target, mode: 0o777 });
      rest = posix
        .resolve(at, target, ...rest.slice(1))
        .split("/")
        .filter(Boolean);
      at = "/";
      continue;
    }
    if (stat.isDirectory()) {
      tree.set(here, { ...attributes, kind: "directory", mode: 0o755 });
    } else if (!tree.has(here)) {
      const bytes = readFileSync(here);
      tree.set(here, {
        ...attributes,
        kind: "file",
        mode: 0o755,
        size: bytes.length,
        content: { kind: "bytes", bytes },
      });
    }
    at = here;
    rest = rest.slice(1);
  }
}
