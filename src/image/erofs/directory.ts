import { blockBytes } from "../sparse-blocks.ts";
import { directoryEntryBytes } from "./format.ts";

/** A name in a directory. `nid` and `fileType` are read when the directory is written, not when it is cut. */
export interface NamedEntry {
  readonly name: string;
  /** Length of the name in UTF-8 bytes. */
  readonly nameBytes: number;
  readonly inode: { readonly nid: number };
  readonly fileType: number;
}

/** Entries [first, end) of a directory lie in one block and take `bytes` of it. */
export interface DirectoryBlock {
  readonly first: number;
  readonly end: number;
  readonly bytes: number;
}

/**
 * Cuts a directory, sorted by name bytes with "." and "..", into blocks. A block need not be full, so where
 * a directory has several, cuts fall after certain names (as content-defined chunking does): a name added
 * changes its own block and rarely those behind it.
 */
export function cutDirectory(entries: readonly NamedEntry[]): DirectoryBlock[] {
  let total = 0;
  for (const entry of entries) total += directoryEntryBytes + entry.nameBytes;
  if (total <= blockBytes) return [{ first: 0, end: entries.length, bytes: total }];
  const blocks: DirectoryBlock[] = [];
  let first = 0;
  let bytes = 0;
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!;
    const more = directoryEntryBytes + entry.nameBytes;
    if (bytes + more > blockBytes || (bytes >= blockBytes / 2 && startsBlock(entry.name))) {
      blocks.push({ first, end: i, bytes });
      first = i;
      bytes = 0;
    }
    bytes += more;
  }
  blocks.push({ first, end: entries.length, bytes });
  return blocks;
}

/** `i_size` of a directory in bytes: the last block counts as far as it is used. */
export function directoryBytes(blocks: readonly DirectoryBlock[]): number {
  return (blocks.length - 1) * blockBytes + blocks.at(-1)!.bytes;
}

/**
 * Writes one block: 12-byte entries, then the names (erofs_fs.h, struct erofs_dirent). The first entry's name
 * offset tells how many entries there are; a name ends where the next begins, the last at a NUL or the end.
 */
export function writeDirectoryBlock(at: Buffer, entries: readonly NamedEntry[], block: DirectoryBlock): void {
  let nameOffset = (block.end - block.first) * directoryEntryBytes;
  for (let i = block.first, offset = 0; i < block.end; i++, offset += directoryEntryBytes) {
    const entry = entries[i]!;
    at.writeUInt32LE(entry.inode.nid, offset);
    at.writeUInt16LE(nameOffset, offset + 8);
    at.writeUInt8(entry.fileType, offset + 10);
    at.write(entry.name, nameOffset, "utf8");
    nameOffset += entry.nameBytes;
  }
}

/** One name in sixteen, chosen by the name alone (FNV-1a). */
function startsBlock(name: string): boolean {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash >>> 28 === 0;
}
