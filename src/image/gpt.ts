import { hash } from "node:crypto";
import { crc32 } from "node:zlib";
import { failure } from "../base/error.ts";
import type { Extent } from "./extent.ts";

export interface Partition {
  /** At most 36 UTF-16 units. */
  readonly name: string;
  /** One of `partitionTypes`, or any other type's GUID. */
  readonly typeGuid: string;
  /** Unique to this partition: see `guidFrom`. */
  readonly guid: string;
  /** Bytes from the start of the disk, a multiple of 512. */
  readonly start: number;
  /** Bytes, a multiple of 512. */
  readonly length: number;
  /** Attribute bits that the type defines, 48 to 63: `1n << 60n` is read-only. */
  readonly attributes?: bigint;
  /** Sets attribute bit 2, by which some BIOS loaders find their partition. */
  readonly legacyBoot?: boolean;
}

export interface GptOptions {
  /** Bytes, a multiple of 512. */
  readonly diskSize: number;
  readonly diskGuid: string;
  /** In the order of their numbers. */
  readonly partitions: readonly Partition[];
  /** For the BIOS, at most 440 bytes at the start of the disk. */
  readonly bootCode?: Uint8Array;
}

/** UEFI specification 2.10, table 5.7; Discoverable Partitions Specification; GRUB manual for `biosBoot`. */
export const partitionTypes = {
  efiSystem: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
  biosBoot: "21686148-6449-6e6f-744e-656564454649",
  linuxData: "0fc63daf-8483-4772-8e79-3d69d8477de4",
  linuxRootAmd64: "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",
  linuxRootArm64: "b921b045-1df0-41c3-af44-4c6f280d3fae",
} as const;

/** Bytes at either end of a disk that belong to the table: no partition may reach into them. */
export const gptBytes = { start: 34 * 512, end: 33 * 512 } as const;

/**
 * A GUID partition table with its backup and a protective MBR, for 512-byte sectors (UEFI specification 2.10,
 * sections 5.2.3 and 5.3): two extents, at the start and at the end of the disk.
 *
 * @throws MesoError `bad-partition` for partitions that overlap, leave the disk or cannot be described.
 */
export function writeGpt(options: GptOptions): Extent[] {
  checkPartitions(options);
  const sectors = options.diskSize / sectorBytes;
  const entries = partitionEntries(options.partitions);
  const table = { sectors, diskGuid: options.diskGuid, entriesCrc: crc32(entries) };
  const primary = header({ ...table, own: 1, other: sectors - 1, entriesAt: 2 });
  const backup = header({ ...table, own: sectors - 1, other: 1, entriesAt: sectors - 33 });
  const head = Buffer.concat([protectiveMbr(sectors, options.bootCode), primary, entries]);
  const tail = Buffer.concat([entries, backup]);
  return [
    { start: 0, length: head.length, source: { kind: "bytes", bytes: head } },
    { start: options.diskSize - tail.length, length: tail.length, source: { kind: "bytes", bytes: tail } },
  ];
}

/** A GUID that follows from a text: the start of its SHA-256, marked as version 8 (RFC 9562, section 5.8). */
export function guidFrom(seedText: string): string {
  const bytes = hash("sha256", seedText, "buffer").subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const digits = bytes.toString("hex");
  return [0, 8, 12, 16, 20].map((from, i, starts) => digits.slice(from, starts[i + 1] ?? 32)).join("-");
}

const sectorBytes = 512;
const entryBytes = 128;
const entryCount = 128;
const longestName = 36;
const longestBootCode = 440;

function checkPartitions({ diskSize, diskGuid, partitions, bootCode }: GptOptions): void {
  if (!Number.isSafeInteger(diskSize) || diskSize % sectorBytes !== 0 || diskSize < gptBytes.start + gptBytes.end) {
    throw failure("bad-partition", `a disk of ${diskSize} bytes`, { expected: "a multiple of 512 that holds a table" });
  }
  if (bootCode && bootCode.length > longestBootCode) {
    throw failure("bad-partition", `boot code of ${bootCode.length} bytes`, {
      expected: `at most ${longestBootCode} bytes`,
    });
  }
  if (partitions.length > entryCount) {
    throw failure("bad-partition", `${partitions.length} partitions`, { expected: `at most ${entryCount}` });
  }
  guidBytes(diskGuid);
  const guids = new Set<string>();
  let end: number = gptBytes.start;
  for (const partition of [...partitions].sort((a, b) => a.start - b.start)) {
    const { name, start, length, guid } = partition;
    const isAligned = [start, length].every((bytes) => Number.isSafeInteger(bytes) && bytes % sectorBytes === 0);
    if (!isAligned || length <= 0 || start < end || start + length > diskSize - gptBytes.end) {
      throw failure("bad-partition", `partition ${JSON.stringify(name)} at ${start} of ${length} bytes`, {
        expected: `multiples of ${sectorBytes} bytes between ${end} and ${diskSize - gptBytes.end}`,
        hint: "partitions may not overlap, nor reach into the table at either end of the disk",
      });
    }
    if (name.length > longestName || guids.has(guid.toLowerCase())) {
      throw failure("bad-partition", `partition ${JSON.stringify(name)} with GUID ${guid}`, {
        expected: `a name of at most ${longestName} characters and a GUID of its own`,
      });
    }
    guids.add(guid.toLowerCase());
    end = start + length;
  }
}

/** One partition of type 0xEE over the whole disk, so that tools without GPT leave it alone. */
function protectiveMbr(sectors: number, bootCode?: Uint8Array): Buffer {
  const mbr = Buffer.alloc(sectorBytes);
  if (bootCode) mbr.set(bootCode);
  mbr.set([0x00, 0x00, 0x02, 0x00, 0xee, 0xff, 0xff, 0xff], 446);
  mbr.writeUInt32LE(1, 454);
  mbr.writeUInt32LE(Math.min(sectors - 1, 0xffff_ffff), 458);
  mbr.writeUInt16LE(0xaa55, 510);
  return mbr;
}

interface Header {
  readonly sectors: number;
  readonly diskGuid: string;
  readonly entriesCrc: number;
  /** Sector of this header, of the other one, and of this one's entries. */
  readonly own: number;
  readonly other: number;
  readonly entriesAt: number;
}

function header({ sectors, diskGuid, entriesCrc, own, other, entriesAt }: Header): Buffer {
  const sector = Buffer.alloc(sectorBytes);
  sector.write("EFI PART", 0, "latin1");
  sector.writeUInt32LE(0x00010000, 8);
  sector.writeUInt32LE(headerBytes, 12);
  sector.writeBigUInt64LE(BigInt(own), 24);
  sector.writeBigUInt64LE(BigInt(other), 32);
  sector.writeBigUInt64LE(BigInt(gptBytes.start / sectorBytes), 40);
  sector.writeBigUInt64LE(BigInt(sectors - gptBytes.end / sectorBytes - 1), 48);
  sector.set(guidBytes(diskGuid), 56);
  sector.writeBigUInt64LE(BigInt(entriesAt), 72);
  sector.writeUInt32LE(entryCount, 80);
  sector.writeUInt32LE(entryBytes, 84);
  sector.writeUInt32LE(entriesCrc, 88);
  sector.writeUInt32LE(crc32(sector.subarray(0, headerBytes)), 16);
  return sector;
}

const headerBytes = 92;

function partitionEntries(partitions: readonly Partition[]): Buffer {
  const entries = Buffer.alloc(entryCount * entryBytes);
  for (const [i, partition] of partitions.entries()) {
    const entry = entries.subarray(i * entryBytes, (i + 1) * entryBytes);
    entry.set(guidBytes(partition.typeGuid), 0);
    entry.set(guidBytes(partition.guid), 16);
    entry.writeBigUInt64LE(BigInt(partition.start / sectorBytes), 32);
    entry.writeBigUInt64LE(BigInt((partition.start + partition.length) / sectorBytes - 1), 40);
    entry.writeBigUInt64LE((partition.attributes ?? 0n) | (partition.legacyBoot ? 4n : 0n), 48);
    entry.write(partition.name, 56, "utf16le");
  }
  return entries;
}

/** On disk the first three groups of a GUID are little-endian (UEFI specification, appendix A). */
function guidBytes(guid: string): Buffer {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(guid)) {
    throw failure("bad-partition", `${JSON.stringify(guid)} is no GUID`, {
      expected: "32 hexadecimal digits in groups of 8-4-4-4-12",
    });
  }
  const bytes = Buffer.from(guid.replaceAll("-", ""), "hex");
  bytes.subarray(0, 4).reverse();
  bytes.subarray(4, 6).reverse();
  bytes.subarray(6, 8).reverse();
  return bytes;
}
