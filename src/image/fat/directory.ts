import type { FatName } from "./names.ts";

export const directoryEntryBytes = 32;

/** What an entry points at. */
export interface FatEntry {
  readonly name: FatName;
  readonly isDirectory: boolean;
  /** First cluster, 0 for none and for the root seen from below. */
  readonly cluster: number;
  /** Bytes; 0 for directories. */
  readonly size: number;
}

/** 32-byte entries that a name takes: the short one and one for each 13 units of a long name. */
export function entryCount({ long }: FatName): number {
  return 1 + (long ? Math.ceil(long.length / unitsPerEntry) : 0);
}

/** The bytes of a directory (Microsoft FAT specification, sections 6 and 7). */
export function encodeDirectory(entries: readonly FatEntry[], volumeLabel?: Buffer): Buffer {
  const parts = entries.map(encodeEntry);
  if (volumeLabel) parts.unshift(shortEntry(volumeLabel, 0, attributes.volumeLabel, 0, 0));
  return Buffer.concat(parts);
}

/** "." and ".." of a subdirectory. */
export function dotEntries(self: number, parent: number): FatEntry[] {
  const named = (short: string, cluster: number): FatEntry => ({
    name: { short: Buffer.from(short.padEnd(11)), caseFlags: 0 },
    isDirectory: true,
    cluster,
    size: 0,
  });
  return [named(".", self), named("..", parent)];
}

const attributes = { volumeLabel: 0x08, directory: 0x10, archive: 0x20, longName: 0x0f } as const;
const unitsPerEntry = 13;
/** 1 January 1980, midnight: the first moment that FAT knows. */
const firstDate = (1 << 5) | 1;

function encodeEntry({ name, isDirectory, cluster, size }: FatEntry): Buffer {
  const attribute = isDirectory ? attributes.directory : attributes.archive;
  const short = shortEntry(name.short, name.caseFlags, attribute, cluster, size);
  return name.long ? Buffer.concat([longEntries(name.long, checksum(name.short)), short]) : short;
}

function shortEntry(name: Buffer, caseFlags: number, attribute: number, cluster: number, size: number): Buffer {
  const entry = Buffer.alloc(directoryEntryBytes);
  entry.set(name, 0);
  entry.writeUInt8(attribute, 11);
  entry.writeUInt8(caseFlags, 12);
  entry.writeUInt16LE(firstDate, 16); // creation
  entry.writeUInt16LE(firstDate, 18); // last access
  entry.writeUInt16LE(cluster >>> 16, 20);
  entry.writeUInt16LE(firstDate, 24); // last write
  entry.writeUInt16LE(cluster & 0xffff, 26);
  entry.writeUInt32LE(size, 28);
  return entry;
}

/** The long name in pieces of 13 units, the last piece first; a NUL and then ones fill the rest. */
function longEntries(units: readonly number[], sum: number): Buffer {
  const count = Math.ceil(units.length / unitsPerEntry);
  const entries = Buffer.alloc(count * directoryEntryBytes);
  for (let piece = count; piece >= 1; piece--) {
    const entry = entries.subarray((count - piece) * directoryEntryBytes, (count - piece + 1) * directoryEntryBytes);
    entry.writeUInt8(piece | (piece === count ? 0x40 : 0), 0);
    entry.writeUInt8(attributes.longName, 11);
    entry.writeUInt8(sum, 13);
    for (let i = 0; i < unitsPerEntry; i++) {
      const at = (piece - 1) * unitsPerEntry + i;
      entry.writeUInt16LE(at < units.length ? units[at]! : at === units.length ? 0 : 0xffff, unitOffsets[i]!);
    }
  }
  return entries;
}

const unitOffsets = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

/** ChkSum() of section 7.2, which ties long entries to their short one. */
function checksum(short: Buffer): number {
  let sum = 0;
  for (const byte of short) sum = (((sum & 1) << 7) + (sum >> 1) + byte) & 0xff;
  return sum;
}
