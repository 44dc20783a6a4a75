import type { FileTree, TreeEntry } from "../../store/file-tree.ts";

const common = { uid: 0, gid: 0, mtime: 1_700_000_000, origin: "test" };

export function directory(more: Partial<TreeEntry> = {}): TreeEntry {
  return { ...common, kind: "directory", mode: 0o755, ...more } as TreeEntry;
}

export function file(contents: string | Uint8Array, more: Partial<TreeEntry> = {}): TreeEntry {
  const bytes = typeof contents === "string" ? Buffer.from(contents) : contents;
  return {
    ...common,
    kind: "file",
    mode: 0o644,
    size: bytes.length,
    content: { kind: "bytes", bytes },
    ...more,
  } as TreeEntry;
}

export function segmentFile(segment: string, offset: number, size: number, more: Partial<TreeEntry> = {}): TreeEntry {
  return {
    ...common,
    kind: "file",
    mode: 0o644,
    size,
    content: { kind: "segment", segment, offset },
    ...more,
  } as TreeEntry;
}

export function symlink(target: string, more: Partial<TreeEntry> = {}): TreeEntry {
  return { ...common, kind: "symlink", mode: 0o777, target, ...more } as TreeEntry;
}

export function hardLink(target: string): TreeEntry {
  return { ...common, kind: "hardlink", mode: 0o644, target };
}

/** A complete tree: the root and every missing parent are added as plain directories. */
export function treeOf(entries: Iterable<readonly [string, TreeEntry]>): FileTree {
  const tree = new Map<string, TreeEntry>(entries);
  for (const path of [...tree.keys(), "/"]) {
    for (let at = path; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) {
      if (!tree.has(at)) tree.set(at, directory());
    }
  }
  if (!tree.has("/")) tree.set("/", directory());
  return tree;
}

/** A system of `packages` packages with some files, links and directories each, and its segments' lengths. */
export function systemOf(packages: number): { tree: FileTree; segments: Map<string, number> } {
  const entries: [string, TreeEntry][] = [["/etc/hostname", file("mini-1\n")]];
  const segments = new Map<string, number>();
  for (let i = 0; i < packages; i++) {
    const added = packageOf(`package-${i}`, 3 + ((i * 7) % 40));
    entries.push(...added.entries);
    segments.set(added.segment, added.dataBytes);
  }
  for (let i = 0; i < 60; i++) entries.push([`/etc/conf.d/${i}.conf`, file(`number = ${i}\n`)]);
  return { tree: treeOf(entries), segments };
}

/** What one package brings: `files` files of growing size, spread as in Debian, and a link. */
export function packageOf(name: string, files: number, version = "1") {
  const segment = `${name}-${version}`;
  const origin = name;
  const entries: [string, TreeEntry][] = [];
  let dataBytes = 0;
  for (let i = 0; i < files; i++) {
    const path = i < 3 ? `/usr/bin/${name}-${i}` : i < 10 ? `/usr/lib/${name}/${i}` : `/usr/share/${name}/data/${i}`;
    const size = 1 + ((i * 2311) % 50_000);
    entries.push([path, segmentFile(segment, dataBytes, size, { origin })]);
    dataBytes += Math.ceil(size / 4096) * 4096;
  }
  entries.push([`/usr/lib/${name}/link`, symlink(`../../bin/${name}-0`, { origin })]);
  return { segment, dataBytes, entries };
}
