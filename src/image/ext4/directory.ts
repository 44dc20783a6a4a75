import { crc32c, crc32cOfZeros } from "../../base/crc32c.ts";
import { blockBytes } from "./geometry.ts";
import { nameHash } from "./name-hash.ts";

/** `file_type` of a directory entry. */
export const entryTypeOf = { file: 1, directory: 2, symlink: 7 } as const;

export interface NamedEntry {
  readonly name: string;
  /** Length of the name in UTF-8. */
  readonly nameBytes: number;
  readonly type: number;
}

/**
 * How the entries of a directory are dealt out to its blocks, before inode numbers are known. One block if they fit;
 * else a first block with "." and "..", and a power of two of leaves, each for an equal share of the hashes of names:
 * an entry more or less touches one leaf.
 */
export interface DirectoryPlan<Entry extends NamedEntry> {
  readonly blocks: number;
  /** Whether the first block is the root of a hash tree. */
  readonly indexed: boolean;
  /** For each block, its entries in order. */
  readonly contents: readonly (readonly Entry[])[];
}

/** @param ordered The entries sorted by name. */
export function planDirectory<Entry extends NamedEntry>(
  ordered: readonly Entry[],
  hashSeed: readonly number[],
): DirectoryPlan<Entry> {
  if (bytesOf(ordered) <= usableBytes - dotsBytes) return { blocks: 1, indexed: false, contents: [ordered] };

  const hashes = ordered.map(({ name, nameBytes }) => nameHash(name, nameBytes, hashSeed));
  const fewest = 2 ** Math.max(1, Math.ceil(Math.log2(bytesOf(ordered) / usableBytes)));
  for (let leafCount = fewest; leafCount <= mostLeaves; leafCount *= 2) {
    const leaves = Array.from({ length: leafCount }, (): Entry[] => []);
    const share = 2 ** 32 / leafCount;
    ordered.forEach((entry, i) => {
      leaves[Math.floor(hashes[i]! / share)]!.push(entry);
    });
    if (leaves.every((leaf) => bytesOf(leaf) <= usableBytes)) {
      return { blocks: leafCount + 1, indexed: leafCount <= rootCapacity, contents: [[], ...leaves] };
    }
  }
  const packed = packedInOrder(ordered);
  return { blocks: packed.length, indexed: false, contents: packed };
}

/**
 * Writes the blocks of a directory ("ext4 Data Structures and Algorithms", section "Directory Entries").
 *
 * @param blockAt The zeroed bytes of the directory's block of that index.
 * @param self Its own and its parent's inode number.
 * @param inodeOf The inode number of an entry.
 * @param seed The checksum seed of its inode.
 */
export function writeDirectory<Entry extends NamedEntry>(
  blockAt: (index: number) => Buffer,
  plan: DirectoryPlan<Entry>,
  self: { readonly inode: number; readonly parent: number },
  inodeOf: (entry: Entry) => number,
  seed: number,
): void {
  plan.contents.forEach((entries, index) => {
    const block = blockAt(index);
    const first = index === 0;
    if (first && plan.indexed) {
      writeDots(block, self, blockBytes - 12);
      writeIndexRoot(block, plan.blocks - 1, seed);
      return;
    }
    const end = writeEntries(block, first ? writeDots(block, self, 12) : undefined, entries, inodeOf);
    writeTail(block, end, seed);
  });
}

/** The last 12 bytes of a block look like an entry and hold its checksum. */
const tailBytes = 12;
const usableBytes = blockBytes - tailBytes;
const dotsBytes = 24;
/** Entries of the hash tree's root: what is left beside its head of 32 bytes and its tail of 8, 8 bytes each. */
const rootCapacity = (blockBytes - 32 - 8) / 8;
const mostLeaves = 65536;

function entryBytes({ nameBytes }: NamedEntry): number {
  return (8 + nameBytes + 3) & ~3;
}

function bytesOf(entries: readonly NamedEntry[]): number {
  let sum = 0;
  for (const entry of entries) sum += entryBytes(entry);
  return sum;
}

/** For names chosen so that their hashes agree: blocks filled one after the other, searched one after the other. */
function packedInOrder<Entry extends NamedEntry>(entries: readonly Entry[]): Entry[][] {
  const blocks: Entry[][] = [[]];
  let used = dotsBytes;
  for (const entry of entries) {
    const bytes = entryBytes(entry);
    if (used + bytes > usableBytes) {
      blocks.push([]);
      used = 0;
    }
    blocks.at(-1)!.push(entry);
    used += bytes;
  }
  return blocks;
}

/** A place in a block where entries go on, and the last entry, whose length reaches over the unused rest. */
interface Cursor {
  readonly end: number;
  readonly last: number;
}

function writeDots(block: Buffer, self: { inode: number; parent: number }, parentLength: number): Cursor {
  writeEntry(block, 0, self.inode, 12, dot);
  writeEntry(block, 12, self.parent, parentLength, dotDot);
  return { end: dotsBytes, last: 12 };
}

const dot: NamedEntry = { name: ".", nameBytes: 1, type: entryTypeOf.directory };
const dotDot: NamedEntry = { name: "..", nameBytes: 2, type: entryTypeOf.directory };

/** Writes entries from a place on, the block's start if there is none; gives the end of the last one's name. */
function writeEntries<Entry extends NamedEntry>(
  block: Buffer,
  from: Cursor | undefined,
  entries: readonly Entry[],
  inodeOf: (entry: Entry) => number,
): number {
  let at = from?.end ?? 0;
  let last = from?.last ?? 0;
  for (const entry of entries) {
    const length = entryBytes(entry);
    writeEntry(block, at, inodeOf(entry), length, entry);
    last = at;
    at += length;
  }
  // A leaf without entries holds one unused entry, with inode number 0, over all of it.
  block.writeUInt16LE(usableBytes - last, last + 4);
  return Math.max(at, last + 8);
}

function writeEntry(block: Buffer, at: number, inode: number, length: number, entry: NamedEntry): void {
  const { name, nameBytes } = entry;
  block.writeUInt32LE(inode, at);
  block.writeUInt16LE(length, at + 4);
  block[at + 6] = nameBytes;
  block[at + 7] = entry.type;
  // Nearly all names are ASCII, and a loop is quicker than a call for so few bytes.
  if (name.length === nameBytes) for (let i = 0; i < nameBytes; i++) block[at + 8 + i] = name.charCodeAt(i);
  else block.write(name, at + 8);
}

/** @param used Where the entries end and zeros follow. */
function writeTail(block: Buffer, used: number, seed: number): void {
  block.writeUInt16LE(tailBytes, usableBytes + 4);
  block.writeUInt8(0xde, usableBytes + 7);
  block.writeUInt32LE(crc32cOfZeros(crc32c(seed, block, 0, used), usableBytes - used), usableBytes + 8);
}

/** The root of a hash tree with one level of leaves, blocks 1 to `leaves` ("Hash Tree Directories"). */
function writeIndexRoot(block: Buffer, leaves: number, seed: number): void {
  block.writeUInt8(1, 28); // hash_version: half MD4; the superblock says that bytes are unsigned
  block.writeUInt8(8, 29); // info_length
  block.writeUInt16LE(rootCapacity, 32);
  block.writeUInt16LE(leaves, 34);
  for (let leaf = 0; leaf < leaves; leaf++) {
    // The first entry's hash is 0 by definition; its place holds the two numbers above.
    if (leaf > 0) block.writeUInt32LE(leaf * (2 ** 32 / leaves), 32 + leaf * 8);
    block.writeUInt32LE(leaf + 1, 36 + leaf * 8);
  }
  // Entries in use, then the tail with its checksum taken as zero.
  const used = crc32c(seed, block, 0, 32 + leaves * 8);
  block.writeUInt32LE(crc32c(used, new Uint8Array(8)), blockBytes - 4);
}
