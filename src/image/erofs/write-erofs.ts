import { failure } from "../../base/error.ts";
import { compareBytes } from "../../base/order.ts";
import type { FileTree } from "../../store/file-tree.ts";
import { type DiskRecipe, diskRecipe, type Extent } from "../extent.ts";
import { blockBytes, type SparseBlocks, sparseBlocks } from "../sparse-blocks.ts";
import { writeDirectoryBlock } from "./directory.ts";
import { extendedInodeBytes, fileTypes, inodeSlotBytes, sealSuperblock, writeInode } from "./format.ts";
import { type Inode, inodeTable, isInSegment } from "./inode-table.ts";
import { erofsDataRegion, largestSlotBytes, placeData, placeRuns, placeSlots, slotBytesFor } from "./layout.ts";
import { segmentExtents, segmentStart } from "./segment-extents.ts";

export interface ErofsOptions {
  /** Bytes of address space, a multiple of 4096, at least 256 MiB. */
  readonly size: number;
  /** Volume name, at most 16 bytes of UTF-8. */
  readonly label: string;
  /** "01234567-89ab-cdef-0123-456789abcdef". */
  readonly uuid: string;
  /** Bytes of data by segment, for every segment that the tree points into. */
  readonly segments: ReadonlyMap<string, number>;
  /** Where each segment lies: bytes within the file system, inside `erofsDataRegion(size)`. */
  readonly segmentPlacement: ReadonlyMap<string, number>;
  /** Seconds: files with this time take half the room (default 0). */
  readonly epoch?: number;
}

/**
 * An EROFS (Linux, Documentation/filesystems/erofs.rst) that holds the tree, as extents: uncompressed, read by
 * kernels 5.4 and newer. Contents in segments are only pointed to. Everything has an address from its own path
 * or segment, so that a change of the tree changes few blocks; the result depends on nothing but the arguments.
 *
 * @throws MesoError for sizes, labels, names and attributes that an EROFS cannot hold, or `no-room`.
 */
export function writeErofs(tree: FileTree, options: ErofsOptions): DiskRecipe {
  const epoch = options.epoch ?? 0;
  const byPath = inodeTable(tree, epoch);
  const inodes = [...byPath.values()];
  const root = byPath.get("/")!;
  placeInodes(inodes, root, options.size);
  placeContents(inodes, options);
  const metadata = sparseBlocks();
  for (const inode of inodes) writeOne(inode, metadata);
  sealSuperblock(metadata.view(0, blockBytes), {
    rootNid: root.nid,
    inodes: inodes.length,
    epoch,
    blocks: options.size / blockBytes,
    uuid: uuidBytes(options.uuid),
    label: labelBytes(options.label),
  });
  const contents = [...generatedExtents(inodes), ...segmentExtents(inodes, options)];
  return diskRecipe(options.size, [...metadata.extents(), ...contents], [erofsDataRegion(options.size)]);
}

/** The superblock has 16 bits for the root's number: it lies in block 0, where the superblock leaves room. */
const rootOffset = blockBytes - largestSlotBytes;

/**
 * Gives each inode its number: files of a segment follow one another in blocks of their own, every
 * other inode has a slot by its path.
 */
function placeInodes(inodes: readonly Inode[], root: Inode, size: number): void {
  setOffset(root, rootOffset);
  if (root.headBytes > largestSlotBytes) {
    throw failure("bad-xattr", `/: ${root.xattrs.length} bytes of extended attributes`, {
      expected: `at most ${largestSlotBytes - extendedInodeBytes} bytes on the root directory`,
    });
  }
  const inRuns = new Map<string, Inode[]>();
  const inSlots = new Map<number, Inode[]>();
  for (const inode of inodes) {
    if (inode === root) continue;
    const run = runOf(inode);
    if (run !== undefined) append(inRuns, run, inode);
    else append(inSlots, slotBytesFor(inode.headBytes + (inode.inline ? inode.size : 0)), inode);
  }

  const runs = [...inRuns].map(([key, members]) => ({ key, ...layRun(members) }));
  const runOffsets = placeRuns(runs, size);
  for (const { key, offsets } of runs) {
    for (const [inode, offset] of offsets) setOffset(inode, runOffsets.get(key)! + offset);
  }
  for (const [slotBytes, members] of inSlots) {
    const paths = members.map((inode) => inode.path);
    const offsets = placeSlots(slotBytes, paths, size);
    for (const inode of members) setOffset(inode, offsets.get(inode.path)!);
  }
}

/** Key of the run an inode belongs to: its segment; itself, where xattrs outgrow every slot; or none. */
function runOf({ entry, headBytes, path }: Inode): string | undefined {
  if (entry.kind === "file" && entry.content.kind === "segment") return entry.content.segment;
  return headBytes > largestSlotBytes ? path : undefined;
}

/** In the order of the segment's data, which differs from machine to machine only by what is left out. */
function byPlaceInSegment(a: Inode, b: Inode): number {
  return segmentOffset(a) - segmentOffset(b) || compareBytes(a.path, b.path);
}

function segmentOffset({ entry }: Inode): number {
  return entry.kind === "file" && entry.content.kind === "segment" ? entry.content.offset : 0;
}

/** Offsets within a run: an inode crosses a block boundary only where it is larger than a block. */
function layRun(members: readonly Inode[]): { units: number; offsets: Map<Inode, number> } {
  const offsets = new Map<Inode, number>();
  let end = 0;
  for (const inode of [...members].sort(byPlaceInSegment)) {
    const room = blockBytes - (end % blockBytes);
    const start = inode.headBytes <= room ? end : end + room;
    offsets.set(inode, start);
    end = roundUp(start + inode.headBytes, inodeSlotBytes);
  }
  return { units: Math.ceil(end / blockBytes), offsets };
}

function setOffset(inode: Inode, offset: number): void {
  inode.nid = offset / inodeSlotBytes;
}

/** Gives the first block to each inode whose contents are not inline. */
function placeContents(inodes: readonly Inode[], options: ErofsOptions): void {
  const outside = inodes.filter((inode) => !inode.inline && inode.size > 0 && !isInSegment(inode.entry));
  const items = outside.map((inode) => ({ key: inode.path, units: Math.ceil(inode.size / blockBytes) }));
  const offsets = placeData(items, options.size);
  for (const inode of outside) inode.block = offsets.get(inode.path)! / blockBytes;
  const segmentStarts = new Map<string, number>();
  for (const inode of inodes) {
    const { entry } = inode;
    if (inode.size === 0 || entry.kind !== "file" || entry.content.kind !== "segment") continue;
    const { segment, offset } = entry.content;
    const start = segmentStarts.get(segment) ?? segmentStart(segment, options);
    segmentStarts.set(segment, start);
    inode.block = (start + offset) / blockBytes;
  }
}

function writeOne(inode: Inode, metadata: SparseBlocks): void {
  const { entry } = inode;
  const offset = inode.nid * inodeSlotBytes;
  const inodeBytes = inode.headBytes - inode.xattrs.length;
  writeInode(metadata.view(offset, inodeBytes), {
    extended: inode.extended,
    inline: inode.inline,
    xattrBytes: inode.xattrs.length,
    mode: entry.mode | fileTypes[entry.kind].mode,
    links: inode.links,
    size: inode.size,
    block: inode.block,
    nid: inode.nid,
    uid: entry.uid,
    gid: entry.gid,
    mtime: entry.mtime,
  });
  metadata.put(offset + inodeBytes, inode.xattrs);
  const contents = inode.inline ? offset + inode.headBytes : inode.block * blockBytes;
  if (entry.kind === "directory") {
    for (const [i, cut] of inode.cuts.entries()) {
      writeDirectoryBlock(metadata.view(contents + i * blockBytes, cut.bytes), inode.names, cut);
    }
  } else if (entry.kind === "symlink") {
    metadata.put(contents, Buffer.from(entry.target));
  } else if (inode.inline && entry.content.kind === "bytes") {
    metadata.put(contents, entry.content.bytes);
  }
}

/** Generated files that are too long for their inode's block. */
function generatedExtents(inodes: readonly Inode[]): Extent[] {
  return inodes.flatMap(({ entry, inline, size, block }) =>
    entry.kind === "file" && entry.content.kind === "bytes" && size > 0 && !inline
      ? [{ start: block * blockBytes, length: size, source: entry.content }]
      : [],
  );
}

function uuidBytes(uuid: string): Buffer {
  const bytes = Buffer.from(uuid.replaceAll("-", ""), "hex");
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(uuid)) {
    throw failure("bad-uuid", `${JSON.stringify(uuid)} is no UUID`, {
      expected: "32 hexadecimal digits in groups of 8-4-4-4-12",
    });
  }
  return bytes;
}

function labelBytes(label: string): Buffer {
  const bytes = Buffer.from(label);
  if (bytes.length > 16 || label.includes("\0")) {
    throw failure("bad-label", `the volume name ${JSON.stringify(label)} takes ${bytes.length} bytes`, {
      expected: "at most 16 bytes, without NUL",
    });
  }
  return bytes;
}

function append<K, V>(lists: Map<K, V[]>, key: K, item: V): void {
  const list = lists.get(key);
  if (list) list.push(item);
  else lists.set(key, [item]);
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
