import { assert, failure, MesoError } from "../base/error.ts";
import type { DebianSegment } from "../store/segment.ts";
import type { Store } from "../store/store.ts";
import type { DecompressOptions } from "./deb-decompress.ts";
import { type DebianArchive, importBatch } from "./import-batch.ts";

export interface ImportOptions extends DecompressOptions {
  /** Told when another process imports the same archive and is waited for. */
  readonly onWait?: (message: string) => void;
}

/**
 * The segment of a `.deb`, made now if the store has none yet. None of its scripts run.
 *
 * @throws MesoError `hash-mismatch` when the file is not the one that the index names (a copy in the store's
 * own cache is then removed), `corrupt-archive` and `unsafe-archive` for what cannot or must not be unpacked,
 * `no-archive` when the file is not there.
 */
export async function importDebian(
  store: Store,
  archiveFile: string,
  { sha256, size, name }: Omit<DebianArchive, "file">,
  options: ImportOptions = {},
): Promise<DebianSegment> {
  if (!/^[0-9a-f]{64}$/.test(sha256)) {
    throw failure("bad-hash", `${JSON.stringify(sha256)} is no SHA-256`, { expected: "64 hexadecimal digits" });
  }
  const existing = existingSegment(store, sha256);
  if (existing) return existing;
  const lock = await store.lock(segmentLockName(sha256), options);
  try {
    const others = existingSegment(store, sha256);
    if (others) return others;
    const archive = { file: archiveFile, sha256, size, ...(name === undefined ? {} : { name }) };
    const [result] = await importBatch(store, [archive], options);
    assert(result, "a batch of one has a result");
    if ("error" in result) throw result.error;
    return { ...result.table, ...result.control };
  } finally {
    lock.release();
  }
}

/** Who makes a segment holds this lock. */
export function segmentLockName(sha256: string): string {
  return `segment-${sha256}`;
}

function existingSegment(store: Store, sha256: string): DebianSegment | undefined {
  const table = store.findSegment(sha256);
  if (!table) return undefined;
  try {
    return { ...table, ...store.readDebianControl(sha256) };
  } catch (error) {
    if (!(error instanceof MesoError)) throw error;
    store.removeSegment(sha256);
    return undefined;
  }
}
