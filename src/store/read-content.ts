import { closeSync, openSync, readSync } from "node:fs";
import { assert, failure } from "../base/error.ts";
import type { ContentSource } from "./file-tree.ts";
import type { SegmentEntry } from "./segment.ts";
import type { Store } from "./store.ts";

/**
 * The bytes of a file's content; `size` in bytes.
 *
 * @throws MesoError `damaged-segment` when the segment's data ends before them.
 */
export function readContent(store: Store, source: ContentSource, size: number): Uint8Array {
  if (source.kind === "bytes") {
    assert(source.bytes.length === size, `content has ${source.bytes.length} bytes, not ${size}`);
    return source.bytes;
  }
  if (size === 0) return new Uint8Array(0);
  const file = openSync(store.segmentDataPath(source.segment), "r");
  try {
    return readRange(file, source.offset, size);
  } catch (error) {
    throw failure("damaged-segment", `segment ${source.segment}: ${(error as Error).message}`);
  } finally {
    closeSync(file);
  }
}

/** The bytes of one entry of a segment, which must be a regular file. */
export function readSegmentFile(store: Store, id: string, entry: SegmentEntry): Uint8Array {
  assert(entry.kind === "file", `${entry.path} is a ${entry.kind}, not a file`);
  return readContent(store, { kind: "segment", segment: id, offset: entry.offset }, entry.size);
}

/** Exactly `length` bytes of the open file from `position`; throws a plain error when it ends before. */
export function readRange(file: number, position: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const got = readSync(file, bytes, done, length - done, position + done);
    if (got === 0) throw new Error(`ends at byte ${position + done}, ${length - done} bytes too early`);
    done += got;
  }
  return bytes;
}
