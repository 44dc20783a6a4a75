import { createHash } from "node:crypto";
import { closeSync, fstatSync, mkdirSync, openSync, readSync, rmSync } from "node:fs";
import { basename, join, sep } from "node:path";
import { failure, MesoError } from "../base/error.ts";
import { readRange } from "../store/read-content.ts";
import type { DebianControl, SegmentEntry, SegmentTable } from "../store/segment.ts";
import type { SegmentWriter } from "../store/segment-writer.ts";
import type { Store } from "../store/store.ts";
import { type DebMember, locateDebMembers } from "./deb.ts";
import { type DecompressOptions, decompressTars } from "./deb-decompress.ts";
import { dpkgInfoFiles } from "./dpkg-info.ts";
import { maximumControlTarBytes, readDebianControl } from "./import-control.ts";
import { createEntryCollector } from "./import-entries.ts";
import { readTar } from "./tar.ts";
import { type ByteSource, forEachPiece } from "./tar-source.ts";

/** A `.deb` and what a signed index says of it. */
export interface DebianArchive {
  readonly file: string;
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
  /** For messages; the file's name otherwise. */
  readonly name?: string;
}

/** What became of one archive of a batch. */
export type ImportResult =
  | { readonly table: SegmentTable; readonly control: DebianControl }
  | { readonly error: MesoError };

/**
 * Imports archives that are not in the store yet, decompressing them together; results in their order. One
 * bad archive does not keep the others out. The caller holds their locks.
 */
export async function importBatch(
  store: Store,
  archives: readonly DebianArchive[],
  options: DecompressOptions = {},
): Promise<ImportResult[]> {
  const compressedBytes = archives.reduce((sum, archive) => sum + archive.size, 0);
  const scratch = store.scratchPath(compressedBytes * usualExpansion);
  mkdirSync(scratch);
  const files: number[] = [];
  const results: ImportResult[] = [];
  try {
    const checked: CheckedArchive[] = [];
    for (const [index, archive] of archives.entries()) {
      try {
        checked.push({ index, archive, ...openChecked(archive, files) });
      } catch (error) {
        results[index] = { error: refused(store, archive, error) };
      }
    }
    await importChecked(store, checked, scratch, results, options);
  } finally {
    for (const file of files) closeSync(file);
    rmSync(scratch, { recursive: true, force: true });
  }
  return results;
}

interface CheckedArchive {
  readonly index: number;
  readonly archive: DebianArchive;
  readonly file: number;
  readonly control: DebMember;
  readonly data: DebMember;
}

/** Opens the archive; nothing in it is looked at before all of it has the right hash. */
function openChecked(archive: DebianArchive, files: number[]) {
  const file = openSync(archive.file, "r");
  files.push(file);
  const { size } = fstatSync(file);
  if (size !== archive.size) throw mismatch(`it has ${size} bytes`, `${archive.size} bytes`);
  const digest = sha256OfFile(file);
  if (digest !== archive.sha256) throw mismatch(`its SHA-256 is ${digest}`, archive.sha256);
  return { file, ...locateDebMembers((position, length) => readRange(file, position, length), size) };
}

function mismatch(what: string, expected: string) {
  return failure("hash-mismatch", what, {
    expected: `${expected}, as the signed index says`,
    hint: "run the command again: the archive will be fetched anew",
  });
}

function sha256OfFile(file: number): string {
  const hash = createHash("sha256");
  for (let position = 0; ; ) {
    const got = readSync(file, shared, 0, shared.length, position);
    if (got === 0) return hash.digest("hex");
    hash.update(shared.subarray(0, got));
    position += got;
  }
}

/** Only ever used between two lines that nothing can come between. */
const shared = new Uint8Array(1 << 18);

async function importChecked(
  store: Store,
  archives: readonly CheckedArchive[],
  scratch: string,
  results: ImportResult[],
  options: DecompressOptions,
): Promise<void> {
  if (archives.length === 0) return;
  const tars = archives.flatMap(({ file, control, data }) => [
    { file, ...control, limit: maximumControlTarBytes },
    { file, ...data, limit: dataLimitByRatio(data.size) },
  ]);
  const folder = join(scratch, String(archives[0]!.index) + (archives.length > 1 ? "+" : ""));
  mkdirSync(folder);
  let expanded: Awaited<ReturnType<typeof decompressTars>>;
  try {
    expanded = await decompressTars(tars, folder, options);
  } catch (error) {
    if (!(error instanceof MesoError)) throw error;
    if (archives.length === 1) results[archives[0]!.index] = { error: refused(store, archives[0]!.archive, error) };
    // One process worked for all of them: alone, each shows whether it is the culprit.
    else for (const archive of archives) await importChecked(store, [archive], scratch, results, options);
    return;
  }
  try {
    // All at once: unpacking is synchronous, one after the other, and only the waits for the disk overlap.
    const outcomes = await Promise.allSettled(
      archives.map(async ({ index, archive }, i) => {
        try {
          const control = readDebianControl(expanded.sources[2 * i]!);
          const table = await importData(store, archive.sha256, control, expanded.sources[2 * i + 1]!);
          results[index] = { table, control };
        } catch (error) {
          results[index] = { error: refused(store, archive, error) };
        }
      }),
    );
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  } finally {
    expanded.close();
  }
}

async function importData(store: Store, id: string, control: DebianControl, source: ByteSource): Promise<SegmentTable> {
  checkInstalledSize(control, source.size);
  const writer = store.newSegment(id);
  try {
    const collector = createEntryCollector();
    for (const member of readTar(source)) {
      collector.add(member, writer.position);
      forEachPiece(source, member.position, member.size, writer.append);
      writer.pad();
    }
    const entries = collector.finish();
    return await writer.publish(entries, { control, records: addRecords(writer, control, entries) });
  } finally {
    writer.abandon();
  }
}

function addRecords(writer: SegmentWriter, control: DebianControl, entries: readonly SegmentEntry[]): SegmentEntry[] {
  return dpkgInfoFiles(control, entries).map(({ path, text }) => {
    const bytes = Buffer.from(text);
    const offset = bytes.length === 0 ? 0 : writer.position;
    writer.append(bytes);
    writer.pad();
    return { kind: "file", path, mode: 0o644, uid: 0, gid: 0, mtime: 1, size: bytes.length, offset };
  });
}

const MiB = 1024 * 1024;

/** How many times larger than their archives packages are, generously: what scratch space is chosen by. */
const usualExpansion = 8;

/** No data archive may be larger than this. Debian's largest packages install some 5 GiB. */
const maximumDataBytes = 32 * 1024 * MiB;
/** Small archives may expand to this in any case. */
const harmlessDataBytes = 256 * MiB;
/** LZMA can reach 7000; real archives stay far below 100. */
const maximumExpansion = 1000;
/** Installed-Size is an estimate of the build machine; the tar adds a header to each file. */
const installedSizeSlack = 4;

/** How far data may expand, before anything of the archive is known but its length. */
function dataLimitByRatio(compressedBytes: number): number {
  return Math.min(maximumDataBytes, Math.max(harmlessDataBytes, compressedBytes * maximumExpansion));
}

/** Refuses data out of all proportion to what the package says of itself (Policy 5.6.20: KiB). */
function checkInstalledSize({ control }: DebianControl, dataBytes: number): void {
  const declared = control["Installed-Size"];
  if (declared === undefined) return;
  if (!/^\d{1,12}$/.test(declared))
    throw failure("corrupt-archive", `its Installed-Size is ${JSON.stringify(declared)}`);
  if (dataBytes > Math.max(harmlessDataBytes, Number(declared) * 1024 * installedSizeSlack)) {
    throw failure("unsafe-archive", `its data has ${dataBytes} bytes, but its Installed-Size is ${declared} KiB`);
  }
}

/** The error with the archive's name; a cached archive that is not what it should be is removed. */
function refused(store: Store, archive: DebianArchive, error: unknown): MesoError {
  const name = archive.name ?? basename(archive.file);
  if ((error as NodeJS.ErrnoException).code === "ENOENT" && !(error instanceof MesoError)) {
    return failure("no-archive", `${name}: ${archive.file} is not there`, { hint: "fetch it first" }, error);
  }
  if (!(error instanceof MesoError)) throw error;
  if (error.code === "hash-mismatch" && archive.file.startsWith(`${store.directory}${sep}archives${sep}`)) {
    rmSync(archive.file, { force: true });
  }
  return new MesoError(
    error.problems.map((problem) => ({ ...problem, what: `${name}: ${problem.what}` })),
    { cause: error },
  );
}
