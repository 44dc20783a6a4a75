import { createHash } from "node:crypto";
import { closeSync, fsync, mkdirSync, openSync, renameSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { segmentAlignment } from "./file-tree.ts";
import type { DebianControl, SegmentEntry, SegmentTable } from "./segment.ts";
import { tableToJson } from "./table-json.ts";

/** What a segment of an archive has beside its entries. */
export interface SegmentOfArchive {
  readonly control: DebianControl;
  readonly records: readonly SegmentEntry[];
}

/** A segment in the making: contents go in one file after another, the table at the end. */
export interface SegmentWriter {
  /** Where the next content starts, in bytes: the `offset` of its entry. */
  readonly position: number;
  /** A piece of the content being written; may be used again by the caller afterwards. */
  append(piece: Uint8Array): void;
  /** Ends a content: fills it up to the alignment with zeros. */
  pad(): void;
  /**
   * Makes the segment visible, at once and whole, when all of it is on the disk; another one of the same id
   * that was faster stays.
   */
  publish(entries: readonly SegmentEntry[], about?: SegmentOfArchive): Promise<SegmentTable>;
  /** Removes what was written. Safe after `publish`. */
  abandon(): void;
}

/** Gathers writes: one system call and one hash update per so many bytes. A multiple of the alignment. */
const bufferBytes = 1 << 18;

/** Buffers of writers that are done, for the next ones. */
const spareBuffers: Uint8Array[] = [];

/** Writes in the folder `aside`, to be renamed to `place`. */
export function createSegmentWriter(id: string, aside: string, place: string): SegmentWriter {
  mkdirSync(aside);
  const data = openSync(join(aside, "data"), "wx");
  const hash = createHash("sha256");
  const buffer = spareBuffers.pop() ?? new Uint8Array(bufferBytes);
  let flushed = 0;
  let filled = 0;
  let isOpen = true;

  function flush(): void {
    if (filled > 0) write(buffer.subarray(0, filled));
    filled = 0;
  }

  function write(bytes: Uint8Array): void {
    hash.update(bytes);
    for (let done = 0; done < bytes.length; ) done += writeSync(data, bytes, done);
    flushed += bytes.length;
  }

  function append(piece: Uint8Array): void {
    for (let done = 0; done < piece.length; ) {
      const count = Math.min(piece.length - done, bufferBytes - filled);
      buffer.set(count === piece.length ? piece : piece.subarray(done, done + count), filled);
      filled += count;
      done += count;
      if (filled === bufferBytes) flush();
    }
  }

  function pad(): void {
    const end = Math.ceil(filled / segmentAlignment) * segmentAlignment;
    buffer.fill(0, filled, end);
    filled = end;
    if (filled === bufferBytes) flush();
  }

  function close(): void {
    if (!isOpen) return;
    isOpen = false;
    closeSync(data);
  }

  async function publish(entries: readonly SegmentEntry[], about?: SegmentOfArchive): Promise<SegmentTable> {
    flush();
    spareBuffers.push(buffer);
    const table: SegmentTable = {
      id,
      dataBytes: flushed,
      dataSha256: hash.digest("hex"),
      entries,
      ...(about && { records: about.records }),
    };
    const parts = [
      syncToDisk(data).then(close),
      writeDurably(join(aside, "table.json"), tableToJson(table)),
      ...(about ? [writeDurably(join(aside, "control.json"), JSON.stringify(about.control))] : []),
    ];
    // All have ended before the folder is renamed, or given up.
    const failed = (await Promise.allSettled(parts)).find((part) => part.status === "rejected");
    if (failed) throw failed.reason;
    try {
      renameSync(aside, place);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "ENOTEMPTY" && code !== "EEXIST") throw error;
      abandon();
    }
    return table;
  }

  function abandon(): void {
    close();
    rmSync(aside, { recursive: true, force: true });
  }

  return {
    get position() {
      return flushed + filled;
    },
    append,
    pad,
    publish,
    abandon,
  };
}

async function writeDurably(path: string, text: string): Promise<void> {
  const file = openSync(path, "wx");
  try {
    writeFileSync(file, text);
    await syncToDisk(file);
  } finally {
    closeSync(file);
  }
}

const syncToDisk = promisify(fsync);
