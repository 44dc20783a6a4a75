import { crc32 } from "node:zlib";
import { failure } from "../base/error.ts";

/**
 * The layout of a package index file, our own format, little-endian:
 *
 *     magic | stanzas | descriptions | tables | footer
 *
 * Stanzas are those of the `Packages` files without the fields nobody reads. Descriptions are lines
 * `name TAB version TAB synopsis`, the best version of each package, sorted by name. The tables are arrays of
 * 32-bit numbers, the names and a JSON header; they are all that opening reads. Lists that belong to one name
 * lie behind each other and `xFirst[name]` to `xFirst[name + 1]` bounds them.
 */
export const magic = Buffer.from("MESOPKG1", "latin1");
export const footerBytes = 32;

/** One `Packages` file that went into the index. */
export interface PackageSource {
  /** Which archive `filename`s are relative to: `main`, `security`. */
  readonly archive: "main" | "security";
  readonly suite: string;
  readonly component: string;
  readonly architecture: string;
  /** As its `Release` says: never a candidate unless asked for by suite (backports, experimental). */
  readonly notAutomatic: boolean;
}

export interface IndexHeader {
  readonly sources: readonly PackageSource[];
  /** Bytes of the file's regions. */
  readonly descriptionsOffset: number;
  readonly descriptionsBytes: number;
  readonly nameCount: number;
  readonly versionCount: number;
  readonly providerCount: number;
  /** Records of versions that say `Essential: yes`. */
  readonly essential: readonly number[];
}

export interface IndexTables {
  readonly header: IndexHeader;
  /** Sorted by bytes, one behind the other; names that are only provided are among them. */
  readonly names: Buffer;
  readonly nameOffset: Uint32Array;
  readonly versionFirst: Uint32Array;
  readonly providerFirst: Uint32Array;
  /** By name: how many other names the texts mention before it (`PackageVersion.mention`). */
  readonly mentionOf: Uint32Array;
  /** By version record, those of one name from the highest version down. */
  readonly stanzaOffset: Uint32Array;
  readonly stanzaBytes: Uint32Array;
  readonly sourceOf: Uint32Array;
  /** Version records whose `Provides` holds the name. */
  readonly providers: Uint32Array;
}

export interface IndexFooter {
  readonly tablesOffset: number;
  readonly tablesBytes: number;
  readonly headerBytes: number;
  readonly checksum: number;
}

export function encodeTables(tables: IndexTables): { bytes: Buffer; headerBytes: number } {
  const header = Buffer.from(JSON.stringify(tables.header));
  const arrays = arrayNames.map((name) => tables[name]);
  const bytes = Buffer.concat([
    ...arrays.map((array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength)),
    tables.names,
    header,
  ]);
  return { bytes, headerBytes: header.length };
}

/** Throws a `MesoError` (`damaged-index`) unless every offset and count lies within its bounds. */
export function decodeTables(bytes: Buffer, footer: IndexFooter, file: string): IndexTables {
  const damaged = (why: string) => damagedIndex(file, why);
  if (crc32(bytes) !== footer.checksum) throw damaged("its tables do not match their checksum");
  const headerAt = bytes.length - footer.headerBytes;
  if (headerAt < 0) throw damaged("its header is longer than its tables");
  const header = parseHeader(bytes.toString("utf8", headerAt));
  if (header === undefined) throw damaged("its header is no JSON");
  const counts = arrayLengths(header);
  let at = 0;
  const arrays = counts.map((count) => {
    const array = new Uint32Array(bytes.buffer, bytes.byteOffset + at, count);
    at += count * 4;
    return array;
  });
  const [nameOffset, versionFirst, providerFirst, mentionOf, stanzaOffset, stanzaBytes, sourceOf, providers] = arrays;
  return {
    header,
    names: bytes.subarray(at, headerAt),
    nameOffset: nameOffset!,
    versionFirst: versionFirst!,
    providerFirst: providerFirst!,
    mentionOf: mentionOf!,
    stanzaOffset: stanzaOffset!,
    stanzaBytes: stanzaBytes!,
    sourceOf: sourceOf!,
    providers: providers!,
  };
}

export function encodeFooter(footer: IndexFooter): Buffer {
  const bytes = Buffer.alloc(footerBytes);
  bytes.writeDoubleLE(footer.tablesOffset, 0);
  bytes.writeUInt32LE(footer.tablesBytes, 8);
  bytes.writeUInt32LE(footer.headerBytes, 12);
  bytes.writeUInt32LE(footer.checksum, 16);
  magic.copy(bytes, footerBytes - magic.length);
  return bytes;
}

/** Throws a `MesoError` (`damaged-index`) on a footer that does not fit a file of `fileBytes`. */
export function decodeFooter(bytes: Buffer, fileBytes: number, file: string): IndexFooter {
  if (bytes.length !== footerBytes || !bytes.subarray(footerBytes - magic.length).equals(magic)) {
    throw damagedIndex(file, "it is truncated, or no package index of this version");
  }
  const footer = {
    tablesOffset: bytes.readDoubleLE(0),
    tablesBytes: bytes.readUInt32LE(8),
    headerBytes: bytes.readUInt32LE(12),
    checksum: bytes.readUInt32LE(16),
  };
  if (footer.tablesOffset + footer.tablesBytes + footerBytes !== fileBytes) {
    throw damagedIndex(file, "its size is not the one it was written with");
  }
  return footer;
}

export function damagedIndex(file: string, why: string): Error {
  return failure("damaged-index", `the package index ${file} cannot be read: ${why}`, {
    hint: "remove it: it is made anew from the downloaded indices",
  });
}

/** The checksum vouches for the header's contents, but not for where the footer says that it begins. */
function parseHeader(text: string): IndexHeader | undefined {
  try {
    return JSON.parse(text) as IndexHeader;
  } catch {
    return undefined;
  }
}

const arrayNames = [
  "nameOffset",
  "versionFirst",
  "providerFirst",
  "mentionOf",
  "stanzaOffset",
  "stanzaBytes",
  "sourceOf",
  "providers",
] as const;

function arrayLengths(header: IndexHeader): number[] {
  const { nameCount, versionCount, providerCount } = header;
  const perName = [nameCount + 1, nameCount + 1, nameCount + 1, nameCount];
  return [...perName, versionCount, versionCount, versionCount, providerCount];
}
