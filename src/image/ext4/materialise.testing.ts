import { closeSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import type { DiskRecipe } from "../extent.ts";

/** Writes a recipe into a sparse file. Segments are files by id; what they lack at their end stays a hole. */
export function materialise(recipe: DiskRecipe, segmentFiles: ReadonlyMap<string, string>, path: string): void {
  const file = openSync(path, "w");
  ftruncateSync(file, recipe.size);
  for (const { start, length, source } of recipe.extents) {
    if (source.kind === "bytes") {
      writeSync(file, source.bytes, 0, length, start);
      continue;
    }
    const segmentFile = segmentFiles.get(source.segment);
    if (segmentFile === undefined) continue;
    const segment = openSync(segmentFile, "r");
    const buffer = Buffer.alloc(Math.min(length, 1 << 20));
    for (let done = 0; done < length; ) {
      const count = readSync(segment, buffer, 0, Math.min(buffer.length, length - done), source.offset + done);
      if (count === 0) break;
      writeSync(file, buffer, 0, count, start + done);
      done += count;
    }
    closeSync(segment);
  }
  closeSync(file);
}
