import { assert } from "../base/error.ts";
import type { ContentSource } from "../store/file-tree.ts";

/** A run of bytes on a disk and where they come from. `start` and `length` are bytes. */
export interface Extent {
  readonly start: number;
  readonly length: number;
  readonly source: ContentSource;
}

/** A disk, a partition or a file system as data: what no extent covers reads as zeros, or lies in `free`. */
export interface DiskRecipe {
  /** Bytes. */
  readonly size: number;
  /** Sorted by start, without overlap, within size. */
  readonly extents: readonly Extent[];
  /**
   * Where it does not matter what a disk holds that no extent covers: space that a file system has not given out. A pool
   * may leave there what other disks share. Everywhere else, what no extent covers must read as zeros.
   */
  readonly free?: readonly DiskRange[];
}

/** A run of bytes of a disk. */
export interface DiskRange {
  readonly start: number;
  readonly length: number;
}

/** The extents sorted by start and checked against overlap and overrun: the entrance to every recipe. */
export function diskRecipe(size: number, extents: readonly Extent[], free?: readonly DiskRange[]): DiskRecipe {
  const sorted = [...extents].sort((a, b) => a.start - b.start);
  let end = 0;
  for (const extent of sorted) {
    assert(extent.length > 0, `extent at ${extent.start} is empty`);
    assert(extent.start >= end, `extent at ${extent.start} overlaps the one before, which ends at ${end}`);
    end = extent.start + extent.length;
  }
  assert(end <= size, `extents end at ${end}, beyond the size ${size}`);
  return { size, extents: sorted, ...(free && { free }) };
}

/** The same extents, or ranges, `by` bytes further on: a file system into its partition. */
export function shifted<T extends DiskRange>(extents: readonly T[], by: number): T[] {
  return extents.map((extent) => ({ ...extent, start: extent.start + by }));
}

/** What a recipe has within a range that no extent reaches across the ends of: a partition, out of its disk. */
export function partOf({ extents, free }: DiskRecipe, { start, length }: DiskRange): DiskRecipe {
  const isWithin = (one: DiskRange): boolean => one.start >= start && one.start + one.length <= start + length;
  return {
    size: length,
    extents: shifted(extents.filter(isWithin), -start),
    ...(free && { free: shifted(free.filter(isWithin), -start) }),
  };
}
