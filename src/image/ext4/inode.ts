import { crc32c, crc32cOfNumber, crc32cOfZeros } from "../../base/crc32c.ts";
import { inodeBytes } from "./geometry.ts";

/** What an inode says. */
export interface InodeFields {
  /** Type and permissions, as `st_mode`. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes. */
  readonly size: number;
  /** Blocks of 4096 bytes that it occupies, with those for its extent tree and attributes. */
  readonly blocks: number;
  readonly links: number;
  /** Seconds since 1970; used for all four times. The kernel too takes the nearest that fits for others. */
  readonly time: number;
  readonly flags: number;
  /** The block of extended attributes, or 0. */
  readonly attributeBlock: number;
}

export const modeOf = { file: 0x8000, directory: 0x4000, symlink: 0xa000 } as const;
/** `i_flags` ("Inode Flags"). */
export const extentsFlag = 0x80000;
export const indexFlag = 0x1000;

/** A block of an inode table, and the same bytes as numbers are written to: thousands of inodes are written. */
export interface TableBlock {
  readonly bytes: Buffer;
  readonly view: DataView;
}

/** Where `i_block` lies in an inode, and the room for attributes behind the extra fields. Bytes. */
export const blockFieldStart = 0x28;
export const blockFieldBytes = 60;
export const bodyAttributesStart = 0xa0;

/**
 * Writes the fields of the inode at `at` of a zeroed table block, but not `i_block` nor attributes in its body: write
 * those too, then `sealInode` ("ext4 Data Structures and Algorithms", section "Index Nodes").
 */
export function writeInode({ view }: TableBlock, at: number, fields: InodeFields): void {
  const { size } = fields;
  const time = Math.min(Math.max(fields.time, earliest), latest);
  const seconds = time | 0;
  // Two bits extend the signed 32-bit seconds beyond 2038 ("Inode Timestamps").
  const epoch = Math.round((time - seconds) / 2 ** 32) & 3;
  const sectors = fields.blocks * 8;
  view.setUint16(at, fields.mode, true);
  view.setUint16(at + 0x2, fields.uid & 0xffff, true);
  view.setUint32(at + 0x4, size % 2 ** 32, true);
  view.setInt32(at + 0x8, seconds, true); // i_atime
  view.setInt32(at + 0xc, seconds, true); // i_ctime
  view.setInt32(at + 0x10, seconds, true); // i_mtime
  view.setUint16(at + 0x18, fields.gid & 0xffff, true);
  view.setUint16(at + 0x1a, fields.links, true);
  view.setUint32(at + 0x1c, sectors % 2 ** 32, true);
  view.setUint32(at + 0x20, fields.flags, true);
  view.setUint32(at + 0x68, fields.attributeBlock, true); // i_file_acl_lo
  view.setUint32(at + 0x6c, Math.floor(size / 2 ** 32), true);
  view.setUint16(at + 0x74, Math.floor(sectors / 2 ** 32), true);
  view.setUint16(at + 0x78, fields.uid >>> 16, true);
  view.setUint16(at + 0x7a, fields.gid >>> 16, true);
  view.setUint16(at + 0x80, 32, true); // i_extra_isize: up to and with i_projid
  if (epoch !== 0) for (const field of [0x84, 0x88, 0x8c, 0x94]) view.setUint32(at + field, epoch, true);
  view.setInt32(at + 0x90, seconds, true); // i_crtime
}

/** The size of the file whose inode these are the bytes of, to be read or written anew. Seal it again afterwards. */
export function sizeAt(inode: Buffer): { readonly read: () => number; readonly write: (size: number) => void } {
  return {
    read: () => inode.readUInt32LE(0x4) + inode.readUInt32LE(0x6c) * 2 ** 32,
    write: (size) => {
      inode.writeUInt32LE(size % 2 ** 32, 0x4);
      inode.writeUInt32LE(Math.floor(size / 2 ** 32), 0x6c);
    },
  };
}

/** What 34 bits hold, seconds since 1970: 1901 to 2446. */
const earliest = -(2 ** 31);
const latest = 2 ** 34 - 2 ** 31 - 1;

/** The checksum seed of what belongs to inode `number` (its generation is always 0). */
export function inodeSeed(seed: number, number: number): number {
  return crc32cOfNumber(crc32cOfNumber(seed, number), 0);
}

/** Writes the checksum of a finished inode. `seed` is its `inodeSeed`; without attributes its body ends in zeros. */
export function sealInode({ bytes, view }: TableBlock, at: number, seed: number, hasBodyAttributes = false): void {
  // The checksum itself counts as zero, should there be one already.
  view.setUint16(at + 0x7c, 0, true);
  view.setUint16(at + 0x82, 0, true);
  const checksum = hasBodyAttributes
    ? crc32c(seed, bytes, at, at + inodeBytes)
    : crc32cOfZeros(crc32c(seed, bytes, at, at + bodyAttributesStart), inodeBytes - bodyAttributesStart);
  view.setUint16(at + 0x7c, checksum & 0xffff, true);
  view.setUint16(at + 0x82, checksum >>> 16, true);
}
