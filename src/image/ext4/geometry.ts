import { failure } from "../../base/error.ts";
import { blockBytes } from "../sparse-blocks.ts";

export { blockBytes };

/**
 * Where everything of a file system lies, from its size alone. All metadata is one flex group at the front, so
 * that the rest, the data region, is one unbroken space in which segments may lie anywhere, across groups.
 * ("ext4 Data Structures and Algorithms", sections "Layout", "Flexible Block Groups".)
 *
 * Regions are much larger than what they will hold: addresses are drawn from keys (src/image/placement.ts), and
 * what is unused stays a hole. Each starts on a 4 MiB boundary, the size of an object in common image pools.
 */
export interface Geometry {
  /** All in blocks of 4096 bytes, unless said otherwise. */
  readonly blocks: number;
  readonly groups: number;
  readonly descriptors: Region;
  /** One block for each group. */
  readonly blockBitmaps: Region;
  readonly inodeBitmaps: Region;
  readonly journal: Region;
  /** The tables of all groups, one after the other: inode n lies in block (n - 1) / 16 of it. */
  readonly inodeTables: Region;
  readonly directories: Region;
  /** Contents of generated files, long link targets, extended attributes, extent trees. */
  readonly files: Region;
  readonly data: Region;
  /** Inode numbers for what is placed by its path. */
  readonly pathInodes: Region;
  /** Inode numbers for runs of what belongs to a segment. */
  readonly segmentInodes: Region;
}

export interface Region {
  readonly start: number;
  readonly length: number;
}

export const blocksPerGroup = 32768;
export const inodeBytes = 256;
export const inodesPerBlock = blockBytes / inodeBytes;
export const inodesPerGroup = 8192;
export const descriptorBytes = 64;
/** Inodes 1 to 10 are reserved, 11 is lost+found ("Special inodes"). */
export const firstFreeInode = 12;

/** Bytes. The largest is what 32-bit block numbers reach. */
export const leastSize = 256 * 2 ** 20;
export const mostSize = 2 ** 44 - blockBytes;

/**
 * @param size Bytes.
 * @throws MesoError `image-size` when the size is not a multiple of 4096, below 256 MiB or above 16 TiB.
 */
export function geometry(size: number): Geometry {
  if (!Number.isSafeInteger(size) || size % blockBytes !== 0 || size < leastSize || size > mostSize) {
    throw failure("image-size", `${size} bytes cannot be the size of an ext4 file system`, {
      field: "size",
      expected: `a multiple of ${blockBytes} from ${leastSize} (256 MiB) to ${mostSize}`,
    });
  }
  const blocks = size / blockBytes;
  const groups = Math.ceil(blocks / blocksPerGroup);

  let end = 1; // the superblock
  const after = (length: number, alignment = 1): Region => {
    const start = Math.ceil(end / alignment) * alignment;
    end = start + length;
    return { start, length };
  };
  const descriptors = after(Math.ceil((groups * descriptorBytes) / blockBytes));
  const blockBitmaps = after(groups);
  const inodeBitmaps = after(groups);
  const journal = after(journalBlocks, objectBlocks);
  const inodeTables = after((groups * inodesPerGroup) / inodesPerBlock, objectBlocks);
  const directories = after(Math.floor(blocks / 64), objectBlocks);
  const files = after(Math.floor(blocks / 16), objectBlocks);
  const { start: dataStart } = after(0, objectBlocks);

  const pathInodeGroups = Math.ceil(groups / 4);
  const pathInodes = { start: firstFreeInode, length: pathInodeGroups * inodesPerGroup + 1 - firstFreeInode };
  const segmentInodes = {
    start: pathInodeGroups * inodesPerGroup + 1,
    length: (groups - pathInodeGroups) * inodesPerGroup,
  };
  const data = { start: dataStart, length: blocks - dataStart };
  return {
    ...{ blocks, groups, descriptors, blockBitmaps, inodeBitmaps, journal, inodeTables },
    ...{ directories, files, data, pathInodes, segmentInodes },
  };
}

/**
 * The part of a file system of `size` bytes where whole segments may be placed, in bytes from its start. It holds
 * no metadata and depends on nothing but the size.
 *
 * @throws MesoError `image-size` as `geometry`.
 */
export function ext4DataRegion(size: number): { start: number; length: number } {
  const { data } = geometry(size);
  return { start: data.start * blockBytes, length: data.length * blockBytes };
}

/** Blocks in group `group`: all groups are full but the last. */
export function blocksInGroup(shape: Geometry, group: number): number {
  return Math.min(blocksPerGroup, shape.blocks - group * blocksPerGroup);
}

/** 16 MiB. */
const journalBlocks = 4096;
/** 4 MiB. */
const objectBlocks = 1024;
