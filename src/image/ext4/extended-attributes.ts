import { crc32c } from "../../base/crc32c.ts";
import { failure } from "../../base/error.ts";
import { blockBytes, inodeBytes } from "./geometry.ts";
import { bodyAttributesStart } from "./inode.ts";

/** Extended attributes in the form ext4 keeps them, and whether they need a block or fit into the inode's body. */
export interface AttributePlan {
  readonly inBody: boolean;
  readonly attributes: readonly Attribute[];
}

interface Attribute {
  readonly index: number;
  /** The name behind its prefix. */
  readonly name: Buffer;
  readonly value: Uint8Array;
}

/**
 * @param path Whose attributes, for messages.
 * @returns undefined when there are none.
 * @throws MesoError `xattr-name` for a name that ext4 cannot keep, `xattr-size` when all do not fit into 4096 bytes.
 */
export function planAttributes(
  path: string,
  xattrs: Readonly<Record<string, Uint8Array>> | undefined,
): AttributePlan | undefined {
  if (xattrs === undefined) return undefined;
  const attributes = Object.entries(xattrs).map(([name, value]) => ({ ...splitName(path, name), value }));
  if (attributes.length === 0) return undefined;
  // The kernel searches blocks in this order.
  attributes.sort((a, b) => a.index - b.index || a.name.length - b.name.length || a.name.compare(b.name));
  const bytes = attributes.reduce((sum, a) => sum + 16 + padded(a.name.length) + padded(a.value.length), 4);
  if (bytes > blockBytes - blockHeaderBytes) {
    throw failure("xattr-size", `the extended attributes of ${path} need ${bytes} bytes`, {
      expected: `at most ${blockBytes - blockHeaderBytes} bytes`,
    });
  }
  return { inBody: bytes <= inodeBytes - bodyEntriesStart, attributes };
}

/** Writes attributes into the body of the inode at `at` of a table block ("ext4 Data Structures and Algorithms", "Extended Attributes"). */
export function writeBodyAttributes(table: Buffer, at: number, plan: AttributePlan): void {
  table.writeUInt32LE(magic, at + bodyAttributesStart);
  writeAttributes(table.subarray(at + bodyEntriesStart, at + inodeBytes), 0, plan.attributes);
}

/** Writes attributes into a block of their own. `seed` is the file system's checksum seed. */
export function writeBlockAttributes(block: Buffer, blockNumber: number, plan: AttributePlan, seed: number): void {
  block.writeUInt32LE(magic, 0x0);
  block.writeUInt32LE(1, 0x4); // h_refcount
  block.writeUInt32LE(1, 0x8); // h_blocks
  const hashes = writeAttributes(block, blockHeaderBytes, plan.attributes);
  block.writeUInt32LE(
    hashes.reduce((hash, entry) => (rotated(hash, 16) ^ entry) >>> 0, 0),
    0xc,
  );
  const number = Buffer.alloc(8);
  number.writeUInt32LE(blockNumber, 0);
  block.writeUInt32LE(crc32c(crc32c(seed, number), block), 0x10);
}

const magic = 0xea020000;
const blockHeaderBytes = 32;
const bodyEntriesStart = bodyAttributesStart + 4;

/** Prefixes that ext4 shortens to a number ("Attribute Name Indices"). ACLs have a format of their own: not here. */
const prefixes: readonly (readonly [string, number])[] = [
  ["user.", 1],
  ["trusted.", 4],
  ["security.", 6],
];

function splitName(path: string, name: string): { index: number; name: Buffer } {
  const prefix = prefixes.find(([text]) => name.startsWith(text));
  const rest = Buffer.from(name.slice(prefix?.[0].length ?? 0));
  if (!prefix || rest.length === 0 || rest.length > 255) {
    throw failure("xattr-name", `the extended attribute ${JSON.stringify(name)} of ${path} has no place in ext4`, {
      expected: "a name of at most 255 bytes after user., trusted. or security.",
    });
  }
  return { index: prefix[1], name: rest };
}

/** Entries from `entriesStart` on, values from the area's end downwards; gives the entries' hashes. */
function writeAttributes(area: Buffer, entriesStart: number, attributes: readonly Attribute[]): number[] {
  let at = entriesStart;
  let valueEnd = area.length;
  return attributes.map(({ index, name, value }) => {
    valueEnd -= padded(value.length);
    area.set(value, valueEnd);
    area.set(name, at + 16);
    const hash = attributeHash(name, area.subarray(valueEnd, valueEnd + padded(value.length)));
    area.writeUInt8(name.length, at);
    area.writeUInt8(index, at + 1);
    area.writeUInt16LE(value.length > 0 ? valueEnd : 0, at + 2);
    area.writeUInt32LE(value.length, at + 8);
    area.writeUInt32LE(hash, at + 12);
    at += 16 + padded(name.length);
    return hash;
  });
}

function attributeHash(name: Buffer, paddedValue: Buffer): number {
  let hash = 0;
  for (const byte of name) hash = rotated(hash, 5) ^ byte;
  for (let at = 0; at < paddedValue.length; at += 4) hash = rotated(hash, 16) ^ paddedValue.readUInt32LE(at);
  return hash >>> 0;
}

function rotated(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

function padded(bytes: number): number {
  return (bytes + 3) & ~3;
}
