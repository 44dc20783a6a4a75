import { crc32c, initialCrc } from "../../base/crc32c.ts";

/**
 * On-disk structures of EROFS: Linux, Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h.
 * Only what kernels 5.4 and newer read without options: uncompressed, 4 KiB blocks, no incompatible feature.
 */

/** Unit of inode numbers: an inode's nid is its byte offset divided by this, as metadata starts at block 0. */
export const inodeSlotBytes = 32;
export const compactInodeBytes = 32;
export const extendedInodeBytes = 64;
export const directoryEntryBytes = 12;
export const longestName = 255;
export const superblockOffset = 1024;

/** `file_type` of a directory entry and the type bits of `i_mode`. */
export const fileTypes = {
  file: { directoryEntry: 1, mode: 0o100000 },
  directory: { directoryEntry: 2, mode: 0o040000 },
  symlink: { directoryEntry: 7, mode: 0o120000 },
} as const;

/** Stands for "no block" where a file has no data of its own (EROFS_NULL_ADDR). */
export const noBlock = 0xffffffff;

export interface Superblock {
  readonly rootNid: number;
  readonly inodes: number;
  /** Seconds: the time of every compact inode. */
  readonly epoch: number;
  /** Address space in 4 KiB blocks, for statfs. */
  readonly blocks: number;
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  /** At most 16 bytes. */
  readonly label: Uint8Array;
}

/**
 * Writes the superblock into block 0 and seals it: the checksum covers the whole block after the first 1024
 * bytes, so everything else in that block must be there already.
 */
export function sealSuperblock(block: Buffer, superblock: Superblock): void {
  const at = block.subarray(superblockOffset, superblockOffset + 128);
  at.fill(0);
  at.writeUInt32LE(0xe0f5e1e2, 0);
  at.writeUInt32LE(featureChecksum | featureMtime, 8);
  at.writeUInt8(12, 12); // blkszbits: 4096
  at.writeUInt16LE(superblock.rootNid, 14);
  writeInteger64(at, superblock.inodes, 16);
  writeInteger64(at, superblock.epoch, 24);
  at.writeUInt32LE(superblock.blocks, 36);
  // meta_blkaddr (40) and xattr_blkaddr (44) stay 0: nids count from the start, and no xattr is shared.
  at.set(superblock.uuid, 48);
  at.set(superblock.label, 64);
  at.writeUInt32LE(crc32c(initialCrc, block, superblockOffset), 4);
}

const featureChecksum = 0x1;
const featureMtime = 0x2;

export interface InodeFields {
  readonly extended: boolean;
  /** The last block of data follows the inode (FLAT_INLINE) rather than lying in a block (FLAT_PLAIN). */
  readonly inline: boolean;
  /** Bytes of the xattr body that follows the inode. */
  readonly xattrBytes: number;
  /** Permission and type bits. */
  readonly mode: number;
  readonly links: number;
  readonly size: number;
  /** First block of data, or `noBlock`. */
  readonly block: number;
  readonly nid: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: number;
}

/** Writes an inode at the start of `at`: 64 bytes when extended, else 32. */
export function writeInode(at: Buffer, inode: InodeFields): void {
  at.writeUInt16LE((inode.extended ? 1 : 0) | (inode.inline ? layoutInline << 1 : 0), 0);
  at.writeUInt16LE(xattrCount(inode.xattrBytes), 2);
  at.writeUInt16LE(inode.mode, 4);
  at.writeUInt32LE(inode.block, 16);
  at.writeUInt32LE(inode.nid, 20);
  if (inode.extended) {
    writeInteger64(at, inode.size, 8);
    at.writeUInt32LE(inode.uid, 24);
    at.writeUInt32LE(inode.gid, 28);
    writeInteger64(at, inode.mtime, 32);
    at.writeUInt32LE(inode.links, 44);
  } else {
    at.writeUInt16LE(inode.links, 6);
    at.writeUInt32LE(inode.size, 8);
    at.writeUInt16LE(inode.uid, 24);
    at.writeUInt16LE(inode.gid, 26);
  }
}

const layoutInline = 2;

/** `i_xattr_icount`: 1 for the 12-byte header, and 1 for each 4 bytes after it. */
function xattrCount(bodyBytes: number): number {
  return bodyBytes === 0 ? 0 : 1 + (bodyBytes - 12) / 4;
}

/** Little-endian two's complement, for integers that a double holds exactly. */
function writeInteger64(at: Buffer, value: number, offset: number): void {
  at.writeUInt32LE(value >>> 0, offset);
  at.writeInt32LE(Math.floor(value / 2 ** 32), offset + 4);
}
