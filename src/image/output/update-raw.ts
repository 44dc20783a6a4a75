import { closeSync, openSync, renameSync, writeSync } from "node:fs";
import type { DiskRecipe } from "../extent.ts";
import { asideOf } from "./aside.ts";
import { recipeDifference } from "./recipe-difference.ts";
import type { SegmentIdentity } from "./recipe-identity.ts";
import { contentReader, readRecipe, type SegmentFiles } from "./recipe-reader.ts";

/**
 * Turns the raw image `path`, known to hold the disk `before`, into the disk `after` by writing only what differs.
 * While it is neither, it bears another name, so that a killed run leaves no image that is half one and half the
 * other; whoever has the file open sees it change. Gives the number of bytes written.
 */
export function updateRaw(
  before: DiskRecipe,
  after: DiskRecipe,
  path: string,
  files: SegmentFiles,
  identify: SegmentIdentity,
): number {
  const ranges = recipeDifference(before, after, identify);
  const aside = asideOf(path);
  const reader = contentReader(files);
  renameSync(path, aside);
  try {
    const file = openSync(aside, "r+");
    try {
      for (const { start, length } of ranges) {
        for (let done = 0; done < length; done += pieceBytes) {
          const piece = readRecipe(after, reader, start + done, Math.min(pieceBytes, length - done));
          for (let put = 0; put < piece.length; )
            put += writeSync(file, piece, put, piece.length - put, start + done + put);
        }
      }
    } finally {
      closeSync(file);
    }
    renameSync(aside, path);
    return ranges.reduce((sum, range) => sum + range.length, 0);
  } finally {
    reader.close();
  }
}

const pieceBytes = 4 << 20;
