import { closeSync, openSync, readSync } from "node:fs";
import { assert, failure } from "../../base/error.ts";
import type { ContentSource } from "../../store/file-tree.ts";
import type { DiskRecipe } from "../extent.ts";

/** Where the bytes of segments are: a store is one. */
export interface SegmentFiles {
  /** The data file of a segment. */
  segmentDataPath(segment: string): string;
}

/** Reads contents wherever they are. `close` gives the open files back. */
export interface ContentReader {
  /** Fills `into` from `source`, `skip` bytes on. @throws MesoError `damaged-segment` when it is too short. */
  readonly read: (source: ContentSource, skip: number, into: Uint8Array) => void;
  readonly close: () => void;
}

export function contentReader(files: SegmentFiles): ContentReader {
  const open = new Map<string, number>();
  const fileOf = (segment: string): number => {
    const known = open.get(segment);
    if (known !== undefined) return known;
    const [oldest] = open;
    if (oldest && open.size >= maxOpenFiles) {
      closeSync(oldest[1]);
      open.delete(oldest[0]);
    }
    const opened = openSync(files.segmentDataPath(segment), "r");
    open.set(segment, opened);
    return opened;
  };
  const read = (source: ContentSource, skip: number, into: Uint8Array): void => {
    if (source.kind === "bytes") {
      assert(skip + into.length <= source.bytes.length, "an extent is longer than its bytes");
      into.set(source.bytes.subarray(skip, skip + into.length));
      return;
    }
    const file = fileOf(source.segment);
    for (let done = 0; done < into.length; ) {
      const got = readSync(file, into, done, into.length - done, source.offset + skip + done);
      if (got === 0) {
        throw failure("damaged-segment", `segment ${source.segment} ends at byte ${source.offset + skip + done}`, {
          hint: "run again: it will be imported anew",
        });
      }
      done += got;
    }
  };
  const close = () => {
    for (const file of open.values()) closeSync(file);
    open.clear();
  };
  return { read, close };
}

/** Far below the usual limit of 1024 open files of a process. */
const maxOpenFiles = 256;

/** Index of the first extent that ends after `position`. */
export function firstExtentAfter(recipe: DiskRecipe, position: number): number {
  let low = 0;
  let high = recipe.extents.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const extent = recipe.extents[middle]!;
    if (extent.start + extent.length <= position) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The bytes [start, start + length) of the disk; holes are zeros. */
export function readRecipe(recipe: DiskRecipe, reader: ContentReader, start: number, length: number): Buffer {
  assert(start >= 0 && start + length <= recipe.size, `bytes ${start} to ${start + length} are not on the disk`);
  const result = Buffer.alloc(length);
  const end = start + length;
  for (let index = firstExtentAfter(recipe, start); index < recipe.extents.length; index++) {
    const extent = recipe.extents[index]!;
    if (extent.start >= end) break;
    const from = Math.max(start, extent.start);
    const to = Math.min(end, extent.start + extent.length);
    reader.read(extent.source, from - extent.start, result.subarray(from - start, to - start));
  }
  return result;
}
