import { assert } from "../../base/error.ts";
import { sha256 } from "../../base/hash.ts";
import type { FileEntry, FileTree, TreeEntry } from "../../store/file-tree.ts";
import type { DiskRecipe, Extent } from "../extent.ts";
import { blockBytes, geometry, inodeBytes } from "./geometry.ts";
import { inodeSeed, sealInode, sizeAt } from "./inode.ts";
import { checksumSeed } from "./superblock.ts";
import type { Ext4Options, GeneratedPlace } from "./write-ext4.ts";

/** Contents up to here are copied beside each other rather than being extents of their own. Bytes. */
export const mostCopiedBytes = 65536;

/**
 * A hash of all that decides a file system but the contents of its small generated files, of which only the number of
 * blocks counts: file systems of one frame differ in those contents and in the sizes that their inodes tell. Origins
 * count with their text, though only their being the same does, and so does the order of the tree: another frame for
 * the same file system costs time and nothing else.
 */
export function ext4Frame(tree: FileTree, options: Ext4Options): string {
  const { size, label, uuid, segments, segmentPlacement } = options;
  const numbers = new Map<string, number>();
  const numberOf = (segment: string): number => {
    const known = numbers.get(segment) ?? numbers.size;
    numbers.set(segment, known);
    return known;
  };
  // One text rather than JSON of many small arrays: it is made for every image, of some 15,000 entries.
  let entries = "";
  for (const [path, entry] of tree) entries += `${path}\0${frameOfEntry(entry, numberOf)}\0`;
  const placed = [...numbers.keys()].map((id) => [id, segments.get(id), segmentPlacement.get(id)]);
  return sha256(`${JSON.stringify([size, label, uuid, placed])}\n${entries}`);
}

/**
 * The file system of `tree` made from another one of the same frame, `before`: only blocks that differ are new, all
 * others are the very bytes of `before`. The result is what `writeExt4` gives for the tree.
 *
 * @param generated Of the file system `before`, as `writeExt4` gave it.
 */
export function rewriteContents(
  before: DiskRecipe,
  tree: FileTree,
  generated: ReadonlyMap<string, GeneratedPlace>,
): DiskRecipe {
  const tables = geometry(before.size).inodeTables.start * blockBytes;
  const disk = copiedWhereWritten(before.extents);
  for (const [path, { inode, start }] of generated) {
    const entry = tree.get(path);
    assert(entry !== undefined && isCopied(entry), `${path} is as generated as in the tree of the same frame`);
    const wanted = paddedToBlocks(entry.content.bytes);
    const at = start * blockBytes;
    if (!disk.read(at, wanted.length).equals(wanted)) disk.write(at, wanted.length).set(wanted);
    resize(disk, tables + (inode - 1) * inodeBytes, inode, entry.size);
  }
  return { ...before, extents: disk.extents };
}

/** Whether a file's contents are copied into blocks of the file system's own. */
export function isCopied(
  entry: TreeEntry,
): entry is FileEntry & { readonly content: { readonly kind: "bytes"; readonly bytes: Uint8Array } } {
  return entry.kind === "file" && entry.content.kind === "bytes" && entry.size > 0 && entry.size <= mostCopiedBytes;
}

/** Fields that say all of an entry, one after another; what may hold any character comes last, and holds no NUL. */
function frameOfEntry(entry: TreeEntry, numberOf: (segment: string) => number): string {
  const { kind, mode, uid, gid, mtime, origin, xattrs } = entry;
  const attributes = xattrs === undefined ? "" : JSON.stringify(attributesOf(xattrs));
  const common = `${kind} ${mode} ${uid} ${gid} ${mtime} ${attributes}\0${origin}\0`;
  if (kind === "directory") return common;
  if (kind !== "file") return common + entry.target;
  const { content, size } = entry;
  if (content.kind === "segment") return `${common}s${numberOf(content.segment)} ${content.offset} ${size}`;
  return common + (isCopied(entry) ? `c${Math.ceil(size / blockBytes)}` : `h${size} ${sha256(content.bytes)}`);
}

function attributesOf(xattrs: Readonly<Record<string, Uint8Array>>): unknown[] {
  return Object.entries(xattrs).map(([name, value]) => [name, Buffer.from(value).toString("base64")]);
}

function paddedToBlocks(bytes: Uint8Array): Buffer {
  const padded = Buffer.alloc(Math.ceil(bytes.length / blockBytes) * blockBytes);
  padded.set(bytes);
  return padded;
}

function resize(disk: CopiedWhereWritten, at: number, inode: number, size: number): void {
  if (sizeAt(disk.read(at, inodeBytes)).read() === size) return;
  const bytes = disk.write(at, inodeBytes);
  sizeAt(bytes).write(size);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  // Over all of it, whether it holds attributes or not: zeros are zeros.
  sealInode({ bytes, view }, 0, inodeSeed(checksumSeed, inode), true);
}

/** Literal bytes of extents, of which one is copied before it is first written to. Offsets and lengths are bytes. */
interface CopiedWhereWritten {
  readonly extents: readonly Extent[];
  readonly read: (offset: number, length: number) => Buffer;
  readonly write: (offset: number, length: number) => Buffer;
}

function copiedWhereWritten(original: readonly Extent[]): CopiedWhereWritten {
  const extents = [...original];
  const bytesAt = (index: number, offset: number, length: number): Buffer => {
    const { start, source } = extents[index]!;
    assert(source.kind === "bytes", `what lies at ${offset} was written by the file system`);
    const { bytes } = source;
    assert(offset + length <= start + bytes.length, `${length} bytes at ${offset} lie in one extent`);
    return Buffer.from(bytes.buffer, bytes.byteOffset + offset - start, length);
  };
  return {
    extents,
    read: (offset, length) => bytesAt(indexAt(extents, offset), offset, length),
    write: (offset, length) => {
      const index = indexAt(extents, offset);
      const extent = extents[index]!;
      if (extent === original[index] && extent.source.kind === "bytes") {
        extents[index] = { ...extent, source: { kind: "bytes", bytes: Buffer.from(extent.source.bytes) } };
      }
      return bytesAt(index, offset, length);
    },
  };
}

/** Index of the extent that covers `offset`, of sorted ones. */
function indexAt(extents: readonly Extent[], offset: number): number {
  let low = 0;
  let high = extents.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (extents[middle]!.start <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}
