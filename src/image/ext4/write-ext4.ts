import { assert, failure } from "../../base/error.ts";
import { sha256 } from "../../base/hash.ts";
import type { DirectoryEntry, FileTree } from "../../store/file-tree.ts";
import { type DiskRecipe, diskRecipe, type Extent } from "../extent.ts";
import { type SparseBlocks, sparseBlocks } from "../sparse-blocks.ts";
import { writeDirectory } from "./directory.ts";
import { writeBlockAttributes, writeBodyAttributes } from "./extended-attributes.ts";
import { writeExtentLeaf, writeExtentRoot } from "./extent-tree.ts";
import { blockBytes, ext4DataRegion, type Geometry, geometry, inodeBytes, inodesPerBlock } from "./geometry.ts";
import { type Usage, usageOf } from "./group-descriptors.ts";
import {
  blockFieldBytes,
  blockFieldStart,
  extentsFlag,
  indexFlag,
  inodeSeed,
  modeOf,
  sealInode,
  type TableBlock,
  writeInode,
} from "./inode.ts";
import { writeJournalSuperblock } from "./journal.ts";
import { layOut, lostAndFoundPath, type SegmentRoom } from "./layout.ts";
import { type Node, nodesOf } from "./node.ts";
import { isCopied } from "./rewrite-contents.ts";
import { checksumSeed, journalInode, madeAt, superblockBytes, superblockStart, writeSuperblock } from "./superblock.ts";

export { ext4DataRegion };

export interface Ext4Options extends SegmentRoom {
  /** Bytes, a multiple of 4096, from 256 MiB. The file system is thin: a large size costs next to nothing. */
  readonly size: number;
  /** At most 16 bytes of UTF-8. */
  readonly label: string;
  /** Lower-case or upper-case, with hyphens. */
  readonly uuid: string;
}

/** Where a small generated file lies: the number of its inode, and of its first block. */
export interface GeneratedPlace {
  readonly inode: number;
  readonly start: number;
}

export interface Ext4Recipe extends DiskRecipe {
  /** By path; with them `rewriteContents` makes another file system of the same frame from this one. */
  readonly generated: ReadonlyMap<string, GeneratedPlace>;
}

/**
 * An ext4 file system that holds `tree`, as extents: contents of segments stay in their data files, at the places the
 * caller has given the segments within `ext4DataRegion`. A pure function of its arguments, but for the order of the
 * tree and the text of origins, which decide nothing. /lost+found is added where the tree has none.
 *
 * @throws MesoError `image-size`, `label`, `uuid`, `no-room`, and what `nodesOf` throws, for what ext4 cannot hold.
 */
export function writeExt4(tree: FileTree, options: Ext4Options): Ext4Recipe {
  const shape = geometry(options.size);
  const label = labelBytes(options.label);
  const uuid = uuidBytes(options.uuid);
  const hashSeed = hashSeedFor(options.label);
  const nodes = nodesOf(tree, { path: lostAndFoundPath, entry: lostAndFound(tree) }, hashSeed);
  const contents = layOut(nodes, shape, options);

  const disk = sparseBlocks();
  const usage = usageOf(shape, disk);
  const tableBlock = tableBlocks(shape, disk);
  usage.markBlocks(0, shape.inodeBitmaps.start + shape.inodeBitmaps.length);
  usage.markBlocks(shape.inodeTables.start, shape.inodeTables.length);
  for (let inode = 1; inode <= lastReservedInode; inode++) usage.markInode(inode, inode === 2);
  for (const { start, length } of contents) usage.markBlocks(start / blockBytes, length / blockBytes);
  for (const node of nodes) {
    writeNode(node, tableBlock(node.inode), disk, usage);
    const content = writeContents(node, disk);
    if (content) contents.push(content);
  }
  const journalBlockField = writeJournal(shape, tableBlock(journalInode), disk, usage);
  writeSuperblock(disk.view(superblockStart, superblockBytes), {
    ...{ shape, label, uuid, hashSeed, checksumSeed, ...usage.write(checksumSeed) },
    ...{ journalBlockField, journalSize: shape.journal.length * blockBytes },
  });
  const recipe = diskRecipe(options.size, [...disk.extents(), ...contents], [ext4DataRegion(options.size)]);
  return { ...recipe, generated: generatedPlaces(nodes) };
}

const lastReservedInode = 10;

function generatedPlaces(nodes: readonly Node[]): Map<string, GeneratedPlace> {
  const generated = nodes.filter(({ entry }) => isCopied(entry));
  return new Map(generated.map(({ path, inode, start }) => [path, { inode, start }]));
}

/** Writes the inode of a node with its attributes and extent tree, and marks all that it uses. */
function writeNode(node: Node, table: TableBlock, disk: SparseBlocks, usage: Usage): void {
  const { entry, inode } = node;
  const seed = inodeSeed(checksumSeed, inode);
  const at = offsetInTableBlock(inode);
  const inlineTarget = entry.kind === "symlink" && node.blocks === 0;
  writeInode(table, at, {
    mode: modeOf[entry.kind] | (entry.kind === "symlink" ? 0o777 : entry.mode & 0o7777),
    uid: entry.uid,
    gid: entry.gid,
    size: sizeOf(node),
    blocks: node.blocks + node.extentLeaves.length + (node.attributeBlock ? 1 : 0),
    links: node.links,
    time: entry.mtime,
    flags: (inlineTarget ? 0 : extentsFlag) | (node.directory?.indexed ? indexFlag : 0),
    attributeBlock: node.attributeBlock,
  });
  if (inlineTarget) table.bytes.write(entry.target, at + blockFieldStart);
  else writeExtentRoot(table.view, at + blockFieldStart, node.start, node.blocks, node.extentLeaves);
  node.extentLeaves.forEach((leaf, i) => {
    writeExtentLeaf(blockOf(disk, leaf), i, node.start, node.blocks, seed);
    usage.markBlocks(leaf, 1);
  });
  if (node.attributes?.inBody) writeBodyAttributes(table.bytes, at, node.attributes);
  else if (node.attributes) {
    usage.markBlocks(node.attributeBlock, 1);
    writeBlockAttributes(blockOf(disk, node.attributeBlock), node.attributeBlock, node.attributes, checksumSeed);
  }
  sealInode(table, at, seed, node.attributes?.inBody);
  if (inode > lastReservedInode) usage.markInode(inode, entry.kind === "directory");
  if (!node.inSegment) usage.markBlocks(node.start, node.blocks);
}

/** Writes the contents of a node that are small or made here; gives an extent for those that stay where they are. */
function writeContents(node: Node, disk: SparseBlocks): Extent | undefined {
  const { entry, directory } = node;
  if (node.blocks === 0 || node.inSegment) return undefined;
  if (directory) {
    const self = { inode: node.inode, parent: node.parent.inode };
    const blockAt = (index: number) => blockOf(disk, node.start + index);
    writeDirectory(blockAt, directory, self, (child) => child.node.inode, inodeSeed(checksumSeed, node.inode));
    return undefined;
  }
  if (entry.kind === "symlink") {
    blockOf(disk, node.start).write(entry.target);
    return undefined;
  }
  assert(entry.kind === "file", "what has contents and is neither directory nor link is a file");
  const start = node.start * blockBytes;
  if (entry.content.kind === "segment") return { start, length: node.blocks * blockBytes, source: entry.content };
  if (!isCopied(entry)) return { start, length: entry.size, source: entry.content };
  disk.put(start, entry.content.bytes);
  return undefined;
}

/** Gives the `i_block` of the journal's inode. */
function writeJournal(shape: Geometry, table: TableBlock, disk: SparseBlocks, usage: Usage): Buffer {
  const { start, length } = shape.journal;
  const at = offsetInTableBlock(journalInode);
  const size = length * blockBytes;
  const owner = { uid: 0, gid: 0, links: 1, attributeBlock: 0, time: madeAt };
  writeInode(table, at, { ...owner, mode: modeOf.file | 0o600, size, blocks: length, flags: extentsFlag });
  writeExtentRoot(table.view, at + blockFieldStart, start, length, []);
  sealInode(table, at, inodeSeed(checksumSeed, journalInode));
  usage.markBlocks(start, length);
  writeJournalSuperblock(blockOf(disk, start), shape.journal);
  return table.bytes.subarray(at + blockFieldStart, at + blockFieldStart + blockFieldBytes);
}

function blockOf(disk: SparseBlocks, block: number): Buffer {
  return disk.view(block * blockBytes, blockBytes);
}

/** The table block of an inode. Inodes come in runs, so the last one is kept at hand. */
function tableBlocks(shape: Geometry, disk: SparseBlocks): (inode: number) => TableBlock {
  let index = -1;
  let recent: TableBlock;
  return (inode) => {
    const wanted = Math.floor((inode - 1) / inodesPerBlock);
    if (wanted !== index) {
      const bytes = blockOf(disk, shape.inodeTables.start + wanted);
      recent = { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length) };
      index = wanted;
    }
    return recent;
  };
}

function offsetInTableBlock(inode: number): number {
  return ((inode - 1) % inodesPerBlock) * inodeBytes;
}

function sizeOf({ entry, blocks }: Node): number {
  if (entry.kind === "file") return entry.size;
  return entry.kind === "directory" ? blocks * blockBytes : Buffer.byteLength(entry.target);
}

function lostAndFound(tree: FileTree): DirectoryEntry {
  const found = tree.get(lostAndFoundPath);
  if (found?.kind === "directory") return found;
  if (!found) return { kind: "directory", mode: 0o700, uid: 0, gid: 0, mtime: madeAt, origin: "ext4" };
  throw failure("reserved-path", `${lostAndFoundPath} is a ${found.kind}`, {
    expected: "a directory, or nothing: ext4 keeps what a repair finds there",
  });
}

function labelBytes(label: string): Uint8Array {
  const bytes = Buffer.from(label);
  if (bytes.length <= 16 && !bytes.includes(0)) return bytes;
  throw failure("label", `the label ${JSON.stringify(label)} does not fit`, {
    field: "label",
    expected: "at most 16 bytes of UTF-8",
  });
}

function uuidBytes(uuid: string): Uint8Array {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(uuid)) return Buffer.from(uuid.replaceAll("-", ""), "hex");
  throw failure("uuid", `${JSON.stringify(uuid)} is not a UUID`, {
    field: "uuid",
    expected: "32 hexadecimal digits in groups of 8-4-4-4-12",
  });
}

/** From the label alone: machines that share a label share the order of large directories. */
function hashSeedFor(label: string): number[] {
  const digest = Buffer.from(sha256(`ext4 directory hash seed\n${label}`), "hex");
  return [0, 4, 8, 12].map((at) => digest.readUInt32LE(at));
}
