import { availableParallelism } from "node:os";
import { MesoError } from "../base/error.ts";
import type { SegmentTable } from "../store/segment.ts";
import type { Store } from "../store/store.ts";
import type { DecompressOptions } from "./deb-decompress.ts";
import { type ImportOptions, importDebian, segmentLockName } from "./import.ts";
import { type DebianArchive, importBatch } from "./import-batch.ts";

export interface ImportProgress {
  readonly archivesDone: number;
  readonly archivesTotal: number;
  /** Bytes of compressed archives. */
  readonly bytesDone: number;
  readonly bytesTotal: number;
  /** Files, links and directories imported. */
  readonly entries: number;
}

/** What to do once the segments of some archives, by SHA-256, are there, beside the others' import. */
export interface FirstArchives {
  readonly archives: ReadonlySet<string>;
  readonly done: () => void;
}

export interface ImportAllOptions extends Omit<ImportOptions, "xz"> {
  /** Batches at once; one more than there are processors when not given, as each is sometimes not decompressing. */
  readonly parallel?: number;
  /** Archives that bring a better xz than this host's, and the command that expands the others by it. */
  readonly unpacker?: { readonly archives: ReadonlySet<string>; readonly command: () => Promise<readonly string[]> };
  /** Sets of archives to begin with, one after the other. */
  readonly first?: readonly FirstArchives[];
  /** Told after each archive that had to be imported; never when all are there. */
  readonly onProgress?: (progress: ImportProgress) => void;
}

/**
 * The tables of the archives' segments, in their order; what is not in the store is imported, the largest
 * first, several at once. Archives that another process is importing are left to it and waited for last.
 *
 * @throws MesoError with a problem for each archive that was refused (see `importDebian`); the others stay.
 */
export async function importAll(
  store: Store,
  archives: readonly DebianArchive[],
  options: ImportAllOptions = {},
): Promise<SegmentTable[]> {
  const { parallel = availableParallelism() + 1, signal } = options;
  const tables = new Map<string, SegmentTable>();
  const missing = new Map<string, DebianArchive>();
  for (const archive of archives) {
    const table = store.findSegment(archive.sha256);
    if (table) tables.set(archive.sha256, table);
    else missing.set(archive.sha256, archive);
  }
  const awaited = (options.first ?? []).map((first) => ({ ...first, missing: missingOf(first, missing) }));
  const errors: MesoError[] = [];
  const report = createReport([...missing.values()], options.onProgress);
  const busy: DebianArchive[] = [];

  const done = (archive: DebianArchive, result: { readonly table: SegmentTable } | { readonly error: MesoError }) => {
    if ("error" in result) errors.push(result.error);
    else tables.set(archive.sha256, result.table);
    report(archive, "error" in result ? 0 : result.table.entries.length);
    for (const first of awaited) if (first.missing.delete(archive.sha256) && first.missing.size === 0) first.done();
  };

  async function importUnlocked(
    batch: readonly DebianArchive[],
    how: Omit<DecompressOptions, "signal">,
  ): Promise<void> {
    const locked = batch.flatMap((archive) => {
      const lock = store.tryLock(segmentLockName(archive.sha256));
      return lock ? [{ archive, lock }] : [];
    });
    busy.push(...batch.filter((archive) => !locked.some((one) => one.archive === archive)));
    try {
      const wanted: DebianArchive[] = [];
      for (const { archive } of locked) {
        const table = store.findSegment(archive.sha256);
        if (table) done(archive, { table });
        else wanted.push(archive);
      }
      const results = await importBatch(store, wanted, { ...how, ...(signal && { signal }) });
      for (const [i, result] of results.entries()) done(wanted[i]!, result);
    } finally {
      for (const { lock } of locked) lock.release();
    }
  }

  async function importBusy(archive: DebianArchive): Promise<void> {
    try {
      await importDebian(store, archive.file, archive, options);
      done(archive, { table: store.readSegmentTable(archive.sha256) });
    } catch (error) {
      if (!(error instanceof MesoError)) throw error;
      done(archive, { error });
    }
  }

  /** Of several sets everything waits for the first: what it sets off, as depmod of a kernel, takes longest. */
  const importSets = async (sets: readonly (readonly DebianArchive[])[], xz?: readonly string[]): Promise<void> => {
    const all = sets.flatMap((set, index) => batches(set).map((batch) => ({ batch, inBackground: index > 0 })));
    await inLanes(all, parallel, signal, ({ batch, inBackground }) => importUnlocked(batch, { inBackground, xz }));
    await inLanes(busy.splice(0), parallel, signal, importBusy);
  };

  const [unpacker = [], ...sets] = inOrder(missing, [options.unpacker, ...(options.first ?? [])]);
  // The unpacker comes before the others, and keeps one processor busy.
  const meanwhile = unpacker.length > 0 && parallel > 2 ? takeSmallest(sets) : [];
  const both = [() => importSets([unpacker]), () => importUnlocked(meanwhile, { inBackground: true })];
  await inLanes(both, both.length, signal, (one) => one());
  await importSets(sets, errors.length === 0 ? await options.unpacker?.command() : undefined);
  if (errors.length > 0) throw new MesoError(errors.flatMap((error) => error.problems));
  return archives.map((archive) => tables.get(archive.sha256)!);
}

function missingOf({ archives }: FirstArchives, missing: ReadonlyMap<string, DebianArchive>): Set<string> {
  return new Set([...archives].filter((sha256) => missing.has(sha256)));
}

/** The missing archives set by set, and the rest. */
function inOrder(
  missing: ReadonlyMap<string, DebianArchive>,
  first: readonly (Pick<FirstArchives, "archives"> | undefined)[],
): DebianArchive[][] {
  const left = new Map(missing);
  const sets = first.map((set) => [...(set?.archives ?? [])].flatMap((sha256) => takeOut(left, sha256)));
  return [...sets, [...left.values()]];
}

function takeOut(left: Map<string, DebianArchive>, sha256: string): DebianArchive[] {
  const archive = left.get(sha256);
  left.delete(sha256);
  return archive ? [archive] : [];
}

/** What would be the last batch, taken out of its set: for processors that have nothing to do yet. */
function takeSmallest(sets: readonly DebianArchive[][]): readonly DebianArchive[] {
  const rest = sets.at(-1) ?? [];
  const last = batches(rest).at(-1) ?? [];
  rest.splice(0, rest.length, ...rest.filter((archive) => !last.includes(archive)));
  return last;
}

/** Archives are decompressed by one process until they have this many bytes together. */
const batchBytes = 4 * 1024 * 1024;

/** Largest first, so that none of the long ones is left for the end; small ones share a process. */
function batches(archives: readonly DebianArchive[]): DebianArchive[][] {
  const sorted = archives.toSorted((a, b) => b.size - a.size || (a.sha256 < b.sha256 ? -1 : 1));
  const result: DebianArchive[][] = [];
  let room = 0;
  for (const archive of sorted) {
    if (archive.size > room) {
      result.push([]);
      room = batchBytes;
    }
    result.at(-1)!.push(archive);
    room -= archive.size;
  }
  return result;
}

/** Runs `work` on each item, `parallel` at a time; after a failure no further item is begun. */
async function inLanes<T>(
  items: readonly T[],
  parallel: number,
  signal: AbortSignal | undefined,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = items.values();
  let failed = false;
  const lane = async () => {
    for (const item of iterator) {
      if (failed) return;
      signal?.throwIfAborted();
      try {
        await work(item);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const outcomes = await Promise.allSettled(Array.from({ length: parallel }, lane));
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
}

function createReport(
  archives: readonly DebianArchive[],
  onProgress: ((progress: ImportProgress) => void) | undefined,
) {
  const bytesTotal = archives.reduce((sum, archive) => sum + archive.size, 0);
  let archivesDone = 0;
  let bytesDone = 0;
  let entries = 0;
  return (archive: DebianArchive, newEntries: number) => {
    archivesDone++;
    bytesDone += archive.size;
    entries += newEntries;
    onProgress?.({ archivesDone, archivesTotal: archives.length, bytesDone, bytesTotal, entries });
  };
}
