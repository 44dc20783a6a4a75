import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { failure } from "../base/error.ts";
import { nearestNames } from "../base/nearest.ts";
import { compareBytes } from "../base/order.ts";
import type { IndexTables, PackageSource } from "./package-index-format.ts";
import { damagedIndex, decodeFooter, decodeTables, footerBytes } from "./package-index-format.ts";
import type { SearchHit } from "./package-index-search.ts";
import { searchDescriptions } from "./package-index-search.ts";
import type { PackageVersion } from "./package-index-stanza.ts";
import { parseStanza } from "./package-index-stanza.ts";

export type { PackageSource } from "./package-index-format.ts";
export type { SearchHit } from "./package-index-search.ts";
export type { PackageVersion } from "./package-index-stanza.ts";

/** What the archives of a channel hold. Stanzas are read from the file when asked for, and kept. */
export interface PackageIndex {
  readonly sources: readonly PackageSource[];
  /** Names of real packages, sorted by bytes. */
  names(): string[];
  /** The versions of a package, the highest first; none for unknown and for merely virtual names. */
  versions(name: string): readonly PackageVersion[];
  /** The versions of other packages, and of this one, whose `Provides` holds the name; sorted by package name. */
  providers(name: string): readonly PackageVersion[];
  /** Every version that says `Essential: yes`, sorted by package name. */
  essential(): readonly PackageVersion[];
  /** Packages whose name or synopsis holds all terms, whatever their case; matches in the name come first. */
  search(terms: readonly string[]): SearchHit[];
  /** At most `limit` names that a person may have meant, the likeliest first. */
  nearestNames(name: string, limit?: number): string[];
  close(): void;
  [Symbol.dispose](): void;
}

/**
 * Opens a file that `writePackageIndex` made: reads its tables, and nothing else. Throws a `MesoError`:
 * `missing-index` when there is no such file, `damaged-index` when it is truncated or altered; later calls throw
 * `damaged-index` or `bad-index` on a stanza that cannot be read.
 */
export function openPackageIndex(file: string): PackageIndex {
  const descriptor = openIndexFile(file);
  let tables: IndexTables;
  try {
    const fileBytes = fstatSync(descriptor).size;
    const footer = decodeFooter(readRange(descriptor, fileBytes - footerBytes, footerBytes), fileBytes, file);
    tables = decodeTables(readRange(descriptor, footer.tablesOffset, footer.tablesBytes), footer, file);
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  const { header, names, nameOffset, versionFirst, providerFirst } = tables;
  /** By offset of the stanza: several records may share one. */
  const read = new Map<number, PackageVersion>();
  const numberOf = (name: string) => findName(names, nameOffset, header.nameCount, name);
  const nameOf = (number: number) => names.toString("latin1", nameOffset[number], nameOffset[number + 1]);

  const readStanza = (number: number, records: readonly number[]): PackageVersion => {
    const offset = tables.stanzaOffset[records[0]!]!;
    const bytes = readRange(descriptor, offset, tables.stanzaBytes[records[0]!]!);
    return parseStanza(
      bytes.toString("utf8"),
      tables.mentionOf[number]!,
      records.map((record) => header.sources[tables.sourceOf[record]!]!),
    );
  };
  /** The versions of one name; records of one stanza in several suites become one version. */
  const versionsOf = (number: number): PackageVersion[] => {
    const groups = new Map<number, number[]>();
    for (let record = versionFirst[number]!; record < versionFirst[number + 1]!; record++) {
      const offset = tables.stanzaOffset[record]!;
      const group = groups.get(offset);
      if (group === undefined) groups.set(offset, [record]);
      else group.push(record);
    }
    return [...groups].map(([offset, records]) => {
      let version = read.get(offset);
      if (version === undefined) {
        version = readStanza(number, records);
        if (version.name !== nameOf(number)) throw damagedIndex(file, `a stanza of ${nameOf(number)} is elsewhere`);
        read.set(offset, version);
      }
      return version;
    });
  };
  const versionsOfRecords = (records: Iterable<number>): PackageVersion[] => {
    const versions = new Set<PackageVersion>();
    for (const record of records) {
      const offset = tables.stanzaOffset[record]!;
      for (const version of read.has(offset) ? [read.get(offset)!] : versionsOf(ownerOf(versionFirst, record))) {
        if (read.get(offset) === version) versions.add(version);
      }
    }
    return [...versions];
  };

  return {
    sources: header.sources,
    names() {
      const real: string[] = [];
      for (let number = 0; number < header.nameCount; number++) {
        if (versionFirst[number] !== versionFirst[number + 1]) real.push(nameOf(number));
      }
      return real;
    },
    versions(name) {
      const number = numberOf(name);
      return number < 0 ? [] : versionsOf(number);
    },
    providers(name) {
      const number = numberOf(name);
      if (number < 0) return [];
      return versionsOfRecords(tables.providers.subarray(providerFirst[number], providerFirst[number + 1]));
    },
    essential: () => versionsOfRecords(header.essential),
    search(terms) {
      const bytes = readRange(descriptor, header.descriptionsOffset, header.descriptionsBytes);
      return searchDescriptions(bytes.toString("utf8"), terms);
    },
    nearestNames(name, limit = 5) {
      return nearestNames(name, this.names(), limit);
    },
    close: () => closeSync(descriptor),
    [Symbol.dispose]: () => closeSync(descriptor),
  };

  function readRange(from: number, offset: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafeSlow(Math.max(0, length));
    for (let at = 0; at < bytes.length; ) {
      const count = offset < 0 ? 0 : readSync(from, bytes, at, bytes.length - at, offset + at);
      if (count === 0) throw damagedIndex(file, "it is truncated");
      at += count;
    }
    return bytes;
  }
}

function openIndexFile(file: string): number {
  try {
    return openSync(file, "r");
  } catch (error) {
    throw failure(
      "missing-index",
      `the package index ${file} cannot be opened: ${(error as Error).message}`,
      {},
      error,
    );
  }
}

/** The number of a name, or -1. */
function findName(names: Buffer, offset: Uint32Array, count: number, wanted: string): number {
  let low = 0;
  let high = count - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const order = compareBytes(names.toString("latin1", offset[middle], offset[middle + 1]), wanted);
    if (order === 0) return middle;
    if (order < 0) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}

/** The name number whose bounds in `first` hold the record. */
function ownerOf(first: Uint32Array, record: number): number {
  let low = 0;
  let high = first.length - 2;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (first[middle + 1]! <= record) low = middle + 1;
    else high = middle;
  }
  return low;
}
