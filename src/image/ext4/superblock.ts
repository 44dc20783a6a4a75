import { crc32c, initialCrc } from "../../base/crc32c.ts";
import {
  blocksPerGroup,
  descriptorBytes,
  firstFreeInode,
  type Geometry,
  inodeBytes,
  inodesPerGroup,
} from "./geometry.ts";
import { blockFieldBytes } from "./inode.ts";

export interface SuperblockFields {
  readonly shape: Geometry;
  readonly freeBlocks: number;
  readonly freeInodes: number;
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  /** At most 16 bytes. */
  readonly label: Uint8Array;
  /** Four words. */
  readonly hashSeed: readonly number[];
  readonly checksumSeed: number;
  /** `i_block` of the journal's inode, kept as a copy. */
  readonly journalBlockField: Buffer;
  /** Bytes. */
  readonly journalSize: number;
}

/** `s_checksum_seed`: the same for all, so that blocks do not depend on the UUID and machines can share them. */
export const checksumSeed = 0x6d65736f;

export const superblockStart = 1024;
export const superblockBytes = 1024;

/**
 * Writes the only superblock ("ext4 Data Structures and Algorithms", section "Super Block"). There are no backups:
 * they would lie in the way of segments, and an image is generated anew rather than repaired.
 */
export function writeSuperblock(bytes: Buffer, fields: SuperblockFields): void {
  const { shape } = fields;
  bytes.writeUInt32LE(shape.groups * inodesPerGroup, 0x0);
  bytes.writeUInt32LE(shape.blocks, 0x4);
  bytes.writeUInt32LE(fields.freeBlocks, 0xc);
  bytes.writeUInt32LE(fields.freeInodes, 0x10);
  bytes.writeUInt32LE(2, 0x18); // s_log_block_size: 1024 << 2
  bytes.writeUInt32LE(2, 0x1c); // s_log_cluster_size
  bytes.writeUInt32LE(blocksPerGroup, 0x20);
  bytes.writeUInt32LE(blocksPerGroup, 0x24); // s_clusters_per_group
  bytes.writeUInt32LE(inodesPerGroup, 0x28);
  bytes.writeUInt32LE(madeAt, 0x30); // s_wtime
  bytes.writeInt16LE(-1, 0x36); // s_max_mnt_count: never check because of mounts
  bytes.writeUInt16LE(0xef53, 0x38);
  bytes.writeUInt16LE(1, 0x3a); // s_state: clean
  bytes.writeUInt16LE(1, 0x3c); // s_errors: continue
  bytes.writeUInt32LE(madeAt, 0x40); // s_lastcheck
  bytes.writeUInt32LE(1, 0x4c); // s_rev_level: dynamic
  bytes.writeUInt32LE(firstFreeInode - 1, 0x54);
  bytes.writeUInt16LE(inodeBytes, 0x58);
  bytes.writeUInt32LE(compatibleFeatures, 0x5c);
  bytes.writeUInt32LE(incompatibleFeatures, 0x60);
  bytes.writeUInt32LE(readOnlyCompatibleFeatures, 0x64);
  bytes.set(fields.uuid, 0x68);
  bytes.set(fields.label, 0x78);
  bytes.writeUInt32LE(journalInode, 0xe0);
  fields.hashSeed.forEach((word, i) => {
    bytes.writeUInt32LE(word, 0xec + i * 4);
  });
  bytes.writeUInt8(1, 0xfc); // s_def_hash_version: half MD4
  bytes.writeUInt8(1, 0xfd); // s_jnl_backup_type: s_jnl_blocks is a copy of the inode
  bytes.writeUInt16LE(descriptorBytes, 0xfe);
  bytes.writeUInt32LE(0xc, 0x100); // s_default_mount_opts: user_xattr, acl
  bytes.writeUInt32LE(madeAt, 0x108); // s_mkfs_time
  fields.journalBlockField.copy(bytes, 0x10c, 0, blockFieldBytes);
  bytes.writeUInt32LE(fields.journalSize, 0x10c + blockFieldBytes + 4);
  bytes.writeUInt16LE(32, 0x15c); // s_min_extra_isize
  bytes.writeUInt16LE(32, 0x15e); // s_want_extra_isize
  bytes.writeUInt32LE(2, 0x160); // s_flags: names are hashed as unsigned bytes
  bytes.writeUInt8(Math.ceil(Math.log2(shape.groups)), 0x174); // s_log_groups_per_flex: all of them
  bytes.writeUInt8(1, 0x175); // s_checksum_type: CRC-32C
  bytes.writeUInt32LE(fields.checksumSeed, 0x270);
  bytes.writeUInt32LE(crc32c(initialCrc, bytes, 0, 0x3fc), 0x3fc);
}

export const journalInode = 8;

/** 2020-01-01, a constant, so that the hour of building does not show. Seconds since 1970. */
export const madeAt = 1577836800;

/** has_journal, ext_attr, dir_index, sparse_super2 (with no backup named in s_backup_bgs). */
const compatibleFeatures = 0x4 | 0x8 | 0x20 | 0x200;
/** filetype, extents, 64bit, flex_bg, metadata_csum_seed. */
const incompatibleFeatures = 0x2 | 0x40 | 0x80 | 0x200 | 0x2000;
/** sparse_super, large_file, huge_file, dir_nlink, extra_isize, metadata_csum. */
const readOnlyCompatibleFeatures = 0x1 | 0x2 | 0x8 | 0x20 | 0x40 | 0x400;
