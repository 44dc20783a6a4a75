import { crc32c, crc32cOfNumber } from "../../base/crc32c.ts";
import { assert } from "../../base/error.ts";
import type { SparseBlocks } from "../sparse-blocks.ts";
import {
  blockBytes,
  blocksInGroup,
  blocksPerGroup,
  descriptorBytes,
  type Geometry,
  inodesPerBlock,
  inodesPerGroup,
} from "./geometry.ts";

/** Which blocks and inodes are in use, gathered while a file system is written. */
export interface Usage {
  /** Blocks that no one has marked before. */
  readonly markBlocks: (start: number, count: number) => void;
  readonly markInode: (inode: number, isDirectory: boolean) => void;
  /** Writes bitmaps and descriptors of all groups; gives the totals for the superblock. */
  readonly write: (seed: number) => { readonly freeBlocks: number; readonly freeInodes: number };
}

/**
 * Bitmaps and group descriptors ("ext4 Data Structures and Algorithms", sections "Block Group Descriptors", "Block
 * and Inode Bitmaps"). A group in which nothing is used has neither bitmap: its descriptor says so (`*_UNINIT`).
 */
export function usageOf(shape: Geometry, disk: SparseBlocks): Usage {
  const groups = Array.from({ length: shape.groups }, (): GroupUsage => {
    return { blocks: 0, inodes: 0, directories: 0, lastInode: 0, inodeBitmap: undefined };
  });

  return {
    markBlocks: (start, count) => {
      for (let at = start; at < start + count; ) {
        const group = Math.floor(at / blocksPerGroup);
        const end = Math.min(start + count, (group + 1) * blocksPerGroup);
        const bitmap = blockOf(disk, shape.blockBitmaps.start + group);
        setBits(bitmap, at - group * blocksPerGroup, end - group * blocksPerGroup);
        groups[group]!.blocks += end - at;
        at = end;
      }
    },
    markInode: (inode, isDirectory) => {
      const number = Math.floor((inode - 1) / inodesPerGroup);
      const index = (inode - 1) % inodesPerGroup;
      const group = groups[number]!;
      group.inodeBitmap ??= blockOf(disk, shape.inodeBitmaps.start + number);
      setBits(group.inodeBitmap, index, index + 1);
      group.inodes++;
      if (isDirectory) group.directories++;
      group.lastInode = Math.max(group.lastInode, index + 1);
    },
    write: (seed) => {
      let freeBlocks = 0;
      let freeInodes = 0;
      groups.forEach((group, number) => {
        const descriptor = disk.view(shape.descriptors.start * blockBytes + number * descriptorBytes, descriptorBytes);
        freeBlocks += blocksInGroup(shape, number) - group.blocks;
        freeInodes += inodesPerGroup - group.inodes;
        writeDescriptor(descriptor, shape, number, group);
        let flags = inodeTableZeroed;
        // The last group keeps its bitmap, which says where the file system ends.
        if (group.blocks > 0 || number === shape.groups - 1) {
          const bitmap = blockOf(disk, shape.blockBitmaps.start + number);
          setBits(bitmap, blocksInGroup(shape, number), blocksPerGroup);
          writeHalves(descriptor, 0x18, 0x38, crc32c(seed, bitmap));
        } else flags |= blockBitmapAbsent;
        if (group.inodeBitmap) {
          setBits(group.inodeBitmap, inodesPerGroup, blockBytes * 8);
          writeHalves(descriptor, 0x1a, 0x3a, crc32c(seed, group.inodeBitmap, 0, inodesPerGroup / 8));
        } else flags |= inodeBitmapAbsent;
        descriptor.writeUInt16LE(flags, 0x12);
        descriptor.writeUInt16LE(crc32c(crc32cOfNumber(seed, number), descriptor) & 0xffff, 0x1e);
      });
      return { freeBlocks, freeInodes };
    },
  };
}

interface GroupUsage {
  blocks: number;
  inodes: number;
  directories: number;
  /** Inodes of the group up to the last one in use. */
  lastInode: number;
  inodeBitmap: Buffer | undefined;
}

function blockOf(disk: SparseBlocks, block: number): Buffer {
  return disk.view(block * blockBytes, blockBytes);
}

/** `bg_flags`: INODE_UNINIT, BLOCK_UNINIT, INODE_ZEROED (the unused part of the table reads as zeros). */
const inodeBitmapAbsent = 1;
const blockBitmapAbsent = 2;
const inodeTableZeroed = 4;

function writeDescriptor(descriptor: Buffer, shape: Geometry, number: number, used: GroupUsage): void {
  descriptor.writeUInt32LE(shape.blockBitmaps.start + number, 0x0);
  descriptor.writeUInt32LE(shape.inodeBitmaps.start + number, 0x4);
  descriptor.writeUInt32LE(shape.inodeTables.start + number * (inodesPerGroup / inodesPerBlock), 0x8);
  descriptor.writeUInt16LE(blocksInGroup(shape, number) - used.blocks, 0xc);
  descriptor.writeUInt16LE(inodesPerGroup - used.inodes, 0xe);
  descriptor.writeUInt16LE(used.directories, 0x10);
  descriptor.writeUInt16LE(inodesPerGroup - used.lastInode, 0x1c); // bg_itable_unused
}

function writeHalves(descriptor: Buffer, low: number, high: number, value: number): void {
  descriptor.writeUInt16LE(value & 0xffff, low);
  descriptor.writeUInt16LE(value >>> 16, high);
}

/** Sets bits [from, to), which must be clear. */
function setBits(bitmap: Buffer, from: number, to: number): void {
  let bit = from;
  while (bit < to) {
    if ((bit & 7) === 0 && to - bit >= 8) {
      const bytes = (to - bit) >> 3;
      bitmap.fill(0xff, bit >> 3, (bit >> 3) + bytes);
      bit += bytes * 8;
    } else {
      const byte = bitmap[bit >> 3]!;
      assert((byte & (1 << (bit & 7))) === 0, "a block or inode is in use twice");
      bitmap[bit >> 3] = byte | (1 << (bit & 7));
      bit++;
    }
  }
}
