import { readSync } from "node:fs";
import { assert, failure } from "../base/error.ts";

/** Bytes that a tar reader walks through. */
export interface ByteSource {
  readonly size: number;
  /** At most `windowBytes` bytes from `position`, valid until any source is asked again. */
  view(position: number, length: number): Uint8Array;
}

/** What may be viewed at once. */
export const windowBytes = 1 << 18;

/** One window for all sources: archives are read one after the other, and fresh memory for each would cost more. */
const sharedWindow = new Uint8Array(windowBytes);
let windowOwner: ByteSource | undefined;

/** The range of an open file as a source. */
export function fileSource(file: number, start: number, size: number): ByteSource {
  let windowStart = 0;
  let windowEnd = 0;

  function fill(position: number, least: number): void {
    windowOwner = source;
    windowStart = position;
    windowEnd = position;
    const most = Math.min(windowBytes, size - position);
    while (windowEnd - position < most) {
      const done = windowEnd - position;
      const got = readSync(file, sharedWindow, done, most - done, start + windowEnd);
      if (got === 0) break;
      windowEnd += got;
    }
    if (windowEnd - position < least) throw failure("corrupt-archive", `it ends at byte ${windowEnd} of ${size}`);
  }

  function view(position: number, length: number): Uint8Array {
    assert(length <= windowBytes && position >= 0 && position + length <= size, `view of ${length} at ${position}`);
    if (windowOwner !== source || position < windowStart || position + length > windowEnd) fill(position, length);
    return sharedWindow.subarray(position - windowStart, position - windowStart + length);
  }

  const source = { size, view };
  return source;
}

/** Calls `each` with the bytes of a range piece by piece. */
export function forEachPiece(source: ByteSource, position: number, length: number, each: (piece: Uint8Array) => void) {
  for (let done = 0; done < length; ) {
    const count = Math.min(length - done, windowBytes);
    each(source.view(position + done, count));
    done += count;
  }
}
