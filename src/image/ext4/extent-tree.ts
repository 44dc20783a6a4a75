import { crc32c } from "../../base/crc32c.ts";
import { failure } from "../../base/error.ts";
import { blockBytes } from "./geometry.ts";

/**
 * The extent tree of a file whose contents are one unbroken run of blocks ("ext4 Data Structures and Algorithms",
 * section "Extent Tree"). An extent holds at most 32768 blocks; up to four fit into the inode, more take leaf
 * blocks of their own.
 */
export function leafBlocksNeeded(blocks: number): number {
  const extents = Math.ceil(blocks / blocksPerExtent);
  if (extents <= entriesInInode) return 0;
  const leaves = Math.ceil(extents / entriesInBlock);
  if (leaves > entriesInInode) {
    throw failure("file-too-large", `a file of ${blocks} blocks does not fit into an ext4 extent tree of two levels`, {
      expected: `at most ${entriesInInode * entriesInBlock * blocksPerExtent} blocks of ${blockBytes} bytes`,
    });
  }
  return leaves;
}

/**
 * The root of the tree, the 60 bytes of an inode's `i_block` at `at` of a table block, for contents at `start`.
 * `leaves` are its leaf blocks.
 */
export function writeExtentRoot(
  table: DataView,
  at: number,
  start: number,
  blocks: number,
  leaves: readonly number[],
): void {
  if (leaves.length === 0) {
    writeNode(table, at, entriesInInode, start, 0, blocks);
    return;
  }
  writeHeader(table, at, leaves.length, entriesInInode, 1);
  leaves.forEach((leaf, i) => {
    table.setUint32(at + 12 + i * 12, i * entriesInBlock * blocksPerExtent, true);
    table.setUint32(at + 16 + i * 12, leaf, true);
  });
}

/** Leaf number `index` of a file's tree; `seed` is the checksum seed of its inode. */
export function writeExtentLeaf(leaf: Buffer, index: number, start: number, blocks: number, seed: number): void {
  const first = index * entriesInBlock * blocksPerExtent;
  writeNode(
    new DataView(leaf.buffer, leaf.byteOffset, blockBytes),
    0,
    entriesInBlock,
    start,
    first,
    Math.min(blocks, first + entriesInBlock * blocksPerExtent),
  );
  leaf.writeUInt32LE(crc32c(seed, leaf, 0, blockBytes - 4), blockBytes - 4);
}

const blocksPerExtent = 32768;
const entriesInInode = 4;
const entriesInBlock = 340;

/** A node of depth 0 that maps the file's blocks [first, end). */
function writeNode(node: DataView, at: number, capacity: number, start: number, first: number, end: number): void {
  const count = Math.ceil((end - first) / blocksPerExtent);
  writeHeader(node, at, count, capacity, 0);
  for (let i = 0; i < count; i++) {
    const logical = first + i * blocksPerExtent;
    const entry = at + 12 + i * 12;
    node.setUint32(entry, logical, true);
    node.setUint16(entry + 4, Math.min(blocksPerExtent, end - logical), true);
    node.setUint32(entry + 8, start + logical, true);
  }
}

function writeHeader(node: DataView, at: number, entries: number, capacity: number, depth: number): void {
  node.setUint16(at, 0xf30a, true);
  node.setUint16(at + 2, entries, true);
  node.setUint16(at + 4, capacity, true);
  node.setUint16(at + 6, depth, true);
}
