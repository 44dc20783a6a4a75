import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { assert } from "../base/error.ts";
import type { DiskRecipe, Extent } from "../image/extent.ts";

/** Segment data by segment id, held in memory. */
export type SegmentData = ReadonlyMap<string, Uint8Array>;

/** Writes a recipe to a sparse raw file, for other programs to judge. */
export function writeRecipeFile(path: string, recipe: DiskRecipe, segments: SegmentData = new Map()): void {
  const file = openSync(path, "w");
  try {
    ftruncateSync(file, recipe.size);
    for (const extent of recipe.extents) writeSync(file, extentBytes(extent, segments), 0, extent.length, extent.start);
  } finally {
    closeSync(file);
  }
}

/** The recipe's non-zero 4 KiB blocks by block number, as latin1 strings: to count what two recipes differ in. */
export function recipeBlocks(recipe: DiskRecipe, segments: SegmentData = new Map()): Map<number, string> {
  const blocks = new Map<number, Buffer>();
  for (const extent of recipe.extents) {
    const bytes = extentBytes(extent, segments);
    for (let done = 0; done < extent.length; ) {
      const index = Math.floor((extent.start + done) / 4096);
      const within = (extent.start + done) % 4096;
      const length = Math.min(4096 - within, extent.length - done);
      const block = blocks.get(index) ?? Buffer.alloc(4096);
      block.set(bytes.subarray(done, done + length), within);
      blocks.set(index, block);
      done += length;
    }
  }
  return new Map([...blocks].map(([index, block]) => [index, block.toString("latin1")]));
}

/** Numbers of the 4 KiB blocks in which two recipes differ, sorted. */
export function changedBlocks(before: DiskRecipe, after: DiskRecipe, segments: SegmentData = new Map()): number[] {
  const [old, fresh] = [recipeBlocks(before, segments), recipeBlocks(after, segments)];
  const zeros = "\0".repeat(4096);
  const all = new Set([...old.keys(), ...fresh.keys()]);
  return [...all].filter((i) => (old.get(i) ?? zeros) !== (fresh.get(i) ?? zeros)).sort((a, b) => a - b);
}

function extentBytes(extent: Extent, segments: SegmentData): Uint8Array {
  if (extent.source.kind === "bytes") return extent.source.bytes.subarray(0, extent.length);
  const data = segments.get(extent.source.segment);
  assert(data, `segment ${extent.source.segment} is not given`);
  assert(extent.source.offset + extent.length <= data.length, `extent at ${extent.start} runs beyond its segment`);
  return data.subarray(extent.source.offset, extent.source.offset + extent.length);
}
