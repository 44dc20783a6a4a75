import { isUtf8 } from "node:buffer";
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { crc32 } from "node:zlib";
import { failure } from "../base/error.ts";
import { sortedBy } from "../base/order.ts";
import type { IndexTables, PackageSource } from "./package-index-format.ts";
import { encodeFooter, encodeTables, magic } from "./package-index-format.ts";
import { parseRelations } from "./relation.ts";
import { compareVersions } from "./version.ts";

/** The text of one `Packages` file, and where it comes from. */
export interface PackagesText extends Omit<PackageSource, "notAutomatic"> {
  readonly text: string | Uint8Array;
  readonly notAutomatic?: boolean;
}

/**
 * Makes one index file of several `Packages` files (main, updates, security, further architectures). Given one
 * after another, the texts need not be in memory together. The file appears whole or not at all, and its bytes
 * follow from the texts and their order. Throws a `MesoError` (`bad-index`) naming suite and line of bad text.
 */
export async function writePackageIndex(
  file: string,
  texts: Iterable<PackagesText> | AsyncIterable<PackagesText>,
): Promise<void> {
  const aside = `${file}.${process.pid}.partial`;
  const output = new Output(openSync(aside, "w", 0o644));
  try {
    output.write(magic);
    const draft = newDraft();
    for await (const { text, ...source } of texts) {
      draft.sources.push({ ...source, notAutomatic: source.notAutomatic ?? false });
      addPackages(draft, output, typeof text === "string" ? Buffer.from(text) : asBuffer(text));
    }
    writeTables(draft, output);
    output.flush();
    fsyncSync(output.descriptor);
    closeSync(output.descriptor);
    renameSync(aside, file);
  } catch (error) {
    closeQuietly(output.descriptor);
    rmSync(aside, { force: true });
    throw error;
  }
}

interface VersionRecord {
  readonly version: string;
  readonly architecture: string;
  readonly sha256: string;
  readonly synopsis: string;
  readonly stanzaOffset: number;
  readonly stanzaBytes: number;
  readonly source: number;
  readonly essential: boolean;
  readonly provides: readonly NameEntry[];
}

/** One name, with the versions of the package that bears it; none for virtual and for merely mentioned names. */
interface NameEntry {
  readonly name: string;
  readonly records: VersionRecord[];
}

interface Draft {
  readonly sources: PackageSource[];
  /** In the order in which the texts first mention them. */
  readonly names: Map<string, NameEntry>;
}

function newDraft(): Draft {
  return { sources: [], names: new Map() };
}

/** Adds the stanzas of `text`, the one of the last source. */
function addPackages(draft: Draft, output: Output, text: Buffer): void {
  if (text.length > maximumTextBytes) throw badText(draft, 1, `larger than ${maximumTextBytes} bytes`);
  if (!isUtf8(text)) throw badText(draft, firstBadLine(text), "bytes that are not UTF-8");
  let lineNumber = 1;
  for (let at = 0; at < text.length; ) {
    if (text[at] === lineFeed) {
      at++;
      lineNumber++;
      continue;
    }
    const stanza = scanStanza(draft, text, at, lineNumber);
    addStanza(draft, output, text, stanza, lineNumber);
    at = stanza.end;
    lineNumber += stanza.lines;
  }
}

interface ScannedStanza {
  readonly fields: Readonly<Record<string, string>>;
  /** Runs of kept lines: start and end, alternating. */
  readonly kept: readonly number[];
  readonly end: number;
  readonly lines: number;
}

/** Walks the lines of one stanza: takes the fields of interest as text, and leaves the dropped ones out of `kept`. */
function scanStanza(draft: Draft, text: Buffer, start: number, firstLine: number): ScannedStanza {
  const fields: Record<string, string> = {};
  const kept: number[] = [];
  let at = start;
  let lines = 0;
  let keeping = false;
  let field: string | undefined;
  while (at < text.length && text[at] !== lineFeed) {
    let end = text.indexOf(lineFeed, at);
    if (end < 0) throw badText(draft, firstLine + lines, "truncated: the last line does not end");
    end++;
    const first = text[at]!;
    if (first === space || first === tab) {
      if (lines === 0) throw badText(draft, firstLine, "a continuation line without a field before it");
      if (field !== undefined && isRelationField.has(field)) fields[field] += text.toString("utf8", at, end - 1);
    } else {
      const colon = text.indexOf(colonByte, at);
      if (colon <= at || colon >= end || colon - at > 64) {
        throw badText(
          draft,
          firstLine + lines,
          `"${text.toString("utf8", at, Math.min(end - 1, at + 40))}" is no field`,
        );
      }
      const name = isInitialOfInterest[first] === 1 ? text.toString("latin1", at, colon) : "";
      keeping = !dropped.has(name);
      field = taken.has(name) ? name : undefined;
      if (field !== undefined) {
        if (fields[name] !== undefined) throw badText(draft, firstLine + lines, `the field "${name}" stands twice`);
        fields[name] = trimmedText(text, colon + 1, end - 1);
      }
    }
    if (keeping) {
      if (kept.at(-1) === at) kept[kept.length - 1] = end;
      else kept.push(at, end);
    }
    lines++;
    at = end;
    if (at - start > maximumStanzaBytes) {
      throw badText(draft, firstLine + lines, `a stanza of more than ${maximumStanzaBytes} bytes`);
    }
  }
  return { fields, kept, end: at, lines };
}

/** Trimmed before it becomes a string: a trimmed string would keep the untrimmed one in memory. */
function trimmedText(text: Buffer, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && (text[start] === space || text[start] === tab)) start++;
  while (end > start && text[end - 1]! <= space) end--;
  return text.toString("utf8", start, end);
}

function addStanza(draft: Draft, output: Output, text: Buffer, scanned: ScannedStanza, line: number): void {
  const { Package: name, Version: version, Architecture: architecture, SHA256: sha256 } = scanned.fields;
  for (const field of ["Package", "Version", "Architecture", "SHA256", "Size", "Filename"]) {
    if (!scanned.fields[field]) throw badText(draft, line, `the stanza that begins here has no field ${field}`);
  }
  if (!packageName.test(name!)) throw badText(draft, line, `"${name!.slice(0, 80)}" is no package name`);
  if (!/^[0-9a-f]{64}$/.test(sha256!)) throw badText(draft, line, `the SHA256 of ${name} is malformed`);
  if (!/^[0-9]{1,15}$/.test(scanned.fields.Size!)) throw badText(draft, line, `the Size of ${name} is no number`);
  const { records } = entryOf(draft, name!);
  const source = draft.sources.length - 1;
  const same = records.find((other) => other.version === version && other.architecture === architecture);
  if (same !== undefined && same.source === source) {
    if (same.sha256 === sha256) return;
    throw badText(draft, line, `${name} ${version} (${architecture}) is there twice, with different contents`);
  }
  const record = { version: version!, architecture: architecture!, sha256: sha256!, source };
  if (same !== undefined && same.sha256 === sha256) {
    records.push({ ...same, ...record });
    return;
  }
  for (const field of relationFields) mention(draft, scanned.fields[field]);
  const { Provides: provides } = scanned.fields;
  const stanzaOffset = output.position;
  for (let i = 0; i < scanned.kept.length; i += 2) output.write(text.subarray(scanned.kept[i], scanned.kept[i + 1]));
  records.push({
    ...record,
    synopsis: scanned.fields.Description ?? "",
    stanzaOffset,
    stanzaBytes: output.position - stanzaOffset,
    essential: scanned.fields.Essential === "yes",
    provides: provides === undefined ? noEntries : providedEntries(draft, provides, line),
  });
  if (output.position > maximumFileBytes) throw badText(draft, line, "too much for one index");
}

/** Makes the names of a relation field known; `name:any` is a name of its own in apt. */
function mention(draft: Draft, relations: string | undefined): void {
  if (relations === undefined) return;
  for (const [, name, qualifier] of relations.matchAll(mentionedName)) {
    if (qualifier !== "any") entryOf(draft, name!);
  }
}

function entryOf(draft: Draft, name: string): NameEntry {
  let entry = draft.names.get(name);
  if (entry === undefined) {
    // A copy: a slice of a long field would keep all of the field in memory.
    const copy = Buffer.from(name, "latin1").toString("latin1");
    entry = { name: copy, records: [] };
    draft.names.set(copy, entry);
  }
  return entry;
}

function providedEntries(draft: Draft, provides: string, line: number): NameEntry[] {
  try {
    return [...new Set(parseRelations(provides).map((group) => entryOf(draft, group[0]!.name)))];
  } catch (error) {
    throw badText(draft, line, `the Provides of the stanza that begins here: ${(error as Error).message}`);
  }
}

function writeTables(draft: Draft, output: Output): void {
  const mentions = new Map<NameEntry, number>();
  /** Numbers of the version records that provide a name. */
  const providers = new Map<NameEntry, number[]>();
  for (const entry of draft.names.values()) {
    mentions.set(entry, mentions.size);
    for (const record of entry.records) for (const other of record.provides) providers.set(other, []);
    // A stable sort: of equal versions the one of the earlier source comes first, as in apt.
    if (entry.records.length > 1) entry.records.sort((a, b) => compareVersions(b.version, a.version));
  }
  const found = [...draft.names.values()].filter((entry) => entry.records.length > 0 || providers.has(entry));
  const entries = sortedBy(found, (entry) => entry.name);
  const all: VersionRecord[] = [];
  const essential: number[] = [];
  const descriptionsOffset = output.position;
  for (const { name, records } of entries) {
    for (const record of records) {
      const number = all.push(record) - 1;
      if (record.essential) essential.push(number);
      for (const other of record.provides) providers.get(other)!.push(number);
    }
    const best = records[0];
    if (best !== undefined) output.write(Buffer.from(`${name}\t${best.version}\t${best.synopsis}\n`));
  }
  const descriptionsBytes = output.position - descriptionsOffset;
  const providerFirst = runningSums(entries.map((entry) => providers.get(entry)?.length ?? 0));
  const tables: IndexTables = {
    header: {
      sources: draft.sources,
      descriptionsOffset,
      descriptionsBytes,
      nameCount: entries.length,
      versionCount: all.length,
      providerCount: providerFirst.at(-1)!,
      essential,
    },
    names: Buffer.from(entries.map((entry) => entry.name).join(""), "latin1"),
    nameOffset: runningSums(entries.map((entry) => entry.name.length)),
    versionFirst: runningSums(entries.map((entry) => entry.records.length)),
    providerFirst,
    mentionOf: Uint32Array.from(entries, (entry) => mentions.get(entry)!),
    stanzaOffset: Uint32Array.from(all, (record) => record.stanzaOffset),
    stanzaBytes: Uint32Array.from(all, (record) => record.stanzaBytes),
    sourceOf: Uint32Array.from(all, (record) => record.source),
    providers: Uint32Array.from(entries.flatMap((entry) => providers.get(entry) ?? [])),
  };
  const { bytes, headerBytes } = encodeTables(tables);
  const tablesOffset = output.position;
  output.write(bytes);
  output.write(encodeFooter({ tablesOffset, tablesBytes: bytes.length, headerBytes, checksum: crc32(bytes) }));
}

function runningSums(counts: readonly number[]): Uint32Array {
  const sums = new Uint32Array(counts.length + 1);
  for (const [i, count] of counts.entries()) sums[i + 1] = sums[i]! + count;
  return sums;
}

/** Gathers small writes; `position` is the offset in the file. */
class Output {
  readonly descriptor: number;
  position = 0;
  #buffer = Buffer.allocUnsafe(1 << 20);
  #used = 0;

  constructor(descriptor: number) {
    this.descriptor = descriptor;
  }

  write(bytes: Uint8Array): void {
    if (this.#used + bytes.length > this.#buffer.length) this.flush();
    this.position += bytes.length;
    if (bytes.length > this.#buffer.length) {
      writeWhole(this.descriptor, bytes);
    } else {
      this.#buffer.set(bytes, this.#used);
      this.#used += bytes.length;
    }
  }

  flush(): void {
    writeWhole(this.descriptor, this.#buffer.subarray(0, this.#used));
    this.#used = 0;
  }
}

function writeWhole(descriptor: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
}

function closeQuietly(descriptor: number): void {
  try {
    closeSync(descriptor);
  } catch {
    // Closed already: only the rename failed.
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function firstBadLine(text: Buffer): number {
  let line = 1;
  for (let at = 0; at < text.length; line++) {
    let end = text.indexOf(lineFeed, at);
    if (end < 0) end = text.length;
    if (!isUtf8(text.subarray(at, end))) return line;
    at = end + 1;
  }
  return line;
}

function badText(draft: Draft, line: number, why: string): Error {
  const { archive, suite, component, architecture } = draft.sources.at(-1)!;
  return failure("bad-index", `Packages of ${suite}/${component} ${architecture} (${archive}), line ${line}: ${why}`, {
    hint: "fetch the index again; if it stays so, the mirror serves a damaged file",
  });
}

const noEntries: readonly NameEntry[] = [];
/** Fields nobody reads: weaker digests, the key of translated descriptions, debtags. */
const dropped = new Set(["MD5sum", "SHA1", "Description-md5", "Tag"]);
/** In the order in which apt reads them, which decides the numbers it gives to names (tried). */
const relationFields = [
  "Pre-Depends",
  "Depends",
  "Conflicts",
  "Breaks",
  "Recommends",
  "Suggests",
  "Replaces",
  "Enhances",
];
const isRelationField = new Set([...relationFields, "Provides"]);
const mentionedName = /(?:^|[,|])\s*([a-zA-Z0-9][a-zA-Z0-9+.-]*)(?::([a-z0-9-]+))?/g;
const taken = new Set([
  ...isRelationField,
  "Package",
  "Version",
  "Architecture",
  "SHA256",
  "Size",
  "Filename",
  "Essential",
  "Description",
]);
const isInitialOfInterest = new Uint8Array(256);
for (const name of [...dropped, ...taken]) isInitialOfInterest[name.charCodeAt(0)] = 1;

/** Policy 5.6.1 asks for lower case; upper case occurs in foreign archives. */
const packageName = /^[a-zA-Z0-9][a-zA-Z0-9+.-]*$/;
const lineFeed = 0x0a;
const space = 0x20;
const tab = 0x09;
const colonByte = 0x3a;
const maximumTextBytes = 2 ** 30;
const maximumStanzaBytes = 16 * 2 ** 20;
/** Offsets are 32-bit numbers. */
const maximumFileBytes = 2 ** 31;
