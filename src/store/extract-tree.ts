import { chmodSync, closeSync, linkSync, mkdirSync, openSync, readSync, symlinkSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { assert, failure } from "../base/error.ts";
import { sortedBy } from "../base/order.ts";
import type { FileEntry, FileTree } from "./file-tree.ts";
import type { Store } from "./store.ts";

/**
 * Writes the tree as real files below `directory`, which is made and must not be there before: roots of
 * sandboxes. Permissions are kept (set-uid bits are not), owners, times and extended attributes are not.
 * Only contents are read; nothing outside `directory` is touched, because every parent is a directory of the
 * tree itself.
 */
export function extractTree(store: Store, tree: FileTree, directory: string): void {
  const paths = sortedBy(tree.keys(), (path) => path);
  const copy = createCopier(store);
  const directories: [string, number][] = [];
  const links: [string, string][] = [];
  try {
    for (const path of paths) {
      const entry = tree.get(path)!;
      assert(path === "/" || tree.get(dirname(path))?.kind === "directory", `${path} is not below a directory`);
      assert(!path.split("/").includes(".."), `${path} is not normalised`);
      const place = join(directory, path);
      if (entry.kind === "directory") {
        mkdirSync(place, { mode: 0o700 });
        directories.push([place, entry.mode & 0o1777]);
      } else if (entry.kind === "symlink") symlinkSync(entry.target, place);
      else if (entry.kind === "hardlink") links.push([join(directory, entry.target), place]);
      else copy(entry, place);
    }
    for (const [existing, place] of links) linkSync(existing, place);
  } finally {
    copy.close();
  }
  // Last and deepest first: a directory without write permission must still be filled.
  for (const [place, mode] of directories.reverse()) chmodSync(place, mode);
}

/** Copies contents to files, keeping the segment that was read last open. */
function createCopier(store: Store) {
  const buffer = new Uint8Array(1 << 18);
  let opened: { readonly segment: string; readonly file: number } | undefined;

  function segmentFile(segment: string): number {
    if (opened?.segment !== segment) {
      close();
      opened = { segment, file: openSync(store.segmentDataPath(segment), "r") };
    }
    return opened.file;
  }

  function close(): void {
    if (opened) closeSync(opened.file);
    opened = undefined;
  }

  function copy(entry: FileEntry, place: string): void {
    const to = openSync(place, "wx", 0o600);
    try {
      if (entry.content.kind === "bytes") writeAll(to, entry.content.bytes);
      else if (entry.size > 0) {
        const from = segmentFile(entry.content.segment);
        for (let done = 0; done < entry.size; ) {
          const count = Math.min(buffer.length, entry.size - done);
          const got = readSync(from, buffer, 0, count, entry.content.offset + done);
          if (got === 0)
            throw failure("damaged-segment", `the data of segment ${entry.content.segment} ends too early`);
          writeAll(to, buffer.subarray(0, got));
          done += got;
        }
      }
    } finally {
      closeSync(to);
    }
    chmodSync(place, entry.mode & 0o777);
  }

  return Object.assign(copy, { close });
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
}
