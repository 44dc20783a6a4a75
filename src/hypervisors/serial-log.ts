import { closeSync, fstatSync, openSync, readSync, renameSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** Bytes at which a log is cut, and that are kept of it then. */
const largest = 4 << 20;
const kept = 1 << 20;

/**
 * Cuts a log that has grown too long while somebody appends to it (O_APPEND: the next write begins at the new end).
 * Its last MiB goes to `<path>.old`.
 */
export function boundLog(path: string, limit = largest): void {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size <= limit) return;
  writeFileSync(`${path}.new`, logEnd(path, Math.min(kept, limit)));
  renameSync(`${path}.new`, `${path}.old`);
  truncateSync(path, 0);
}

/** The last bytes of a log; empty when there is none. */
export function logEnd(path: string, bytes: number): Buffer {
  return readPiece(path, (size) => Math.max(0, size - bytes)).bytes;
}

const pauseMilliseconds = 100;

/** What is appended to a log from this moment on, until `hasEnded`. */
export function followLog(path: string, hasEnded: () => boolean): AsyncIterable<Uint8Array> {
  let position = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (;;) {
      // Asked before reading, so that the last words are not missed.
      const isLast = hasEnded();
      // Shorter than before: it was cut.
      const piece = readPiece(path, (size) => (size < position ? 0 : position));
      position = piece.end;
      if (piece.bytes.length > 0) yield piece.bytes;
      else if (isLast) return;
      else await sleep(pauseMilliseconds);
    }
  }
  return pieces();
}

/** From `start`, which is given the log's size, on; a MiB at most. */
function readPiece(path: string, start: (size: number) => number): { bytes: Buffer; end: number } {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch {
    return { bytes: Buffer.alloc(0), end: 0 };
  }
  try {
    const { size } = fstatSync(file);
    const from = start(size);
    const bytes = Buffer.alloc(Math.min(size - from, kept));
    const length = readSync(file, bytes, 0, bytes.length, from);
    return { bytes: bytes.subarray(0, length), end: from + length };
  } finally {
    closeSync(file);
  }
}
