import { blockBytes, type Region } from "./geometry.ts";

/**
 * Writes the superblock of an empty, clean journal into its first block; the rest of the journal may be holes
 * ("ext4 Data Structures and Algorithms", section "Journal (jbd2)", "Super Block"). Unlike all else in ext4 it is
 * big-endian. It names no features: the kernel adds checksums when it first mounts the file system for writing.
 */
export function writeJournalSuperblock(block: Buffer, journal: Region): void {
  block.writeUInt32BE(0xc03b3998, 0x0); // h_magic
  block.writeUInt32BE(4, 0x4); // h_blocktype: superblock, version 2
  block.writeUInt32BE(blockBytes, 0xc); // s_blocksize
  block.writeUInt32BE(journal.length, 0x10); // s_maxlen
  block.writeUInt32BE(1, 0x14); // s_first
  block.writeUInt32BE(1, 0x18); // s_sequence
  block.writeUInt32BE(1, 0x40); // s_nr_users
}
