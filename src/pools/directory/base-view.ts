import { compareBytes } from "../../base/order.ts";
import type { DiskRange, DiskRecipe, Extent } from "../../image/extent.ts";
import type { SegmentIdentity } from "../../image/output/recipe-identity.ts";
import { blockBytes } from "../../image/sparse-blocks.ts";
import { intersection, outward, type Ranges, rangesOf, union, without } from "./ranges.ts";

/** Whole blocks of the base and what they hold: a part of a segment, named by the segment's contents. */
export interface BaseRun extends DiskRange {
  readonly content: string;
  /** Bytes from the start of the segment. */
  readonly offset: number;
  /** Where the bytes can be read now. */
  readonly segment: string;
  readonly segmentOffset: number;
}

/** What the base shows, sorted, without overlap: between the runs are holes. */
export type BaseView = readonly BaseRun[];

/**
 * What must be added to the base so that the images find their segments there. Where two want the same place, the one
 * that more images want gets it, then the one that is there already. What the base shows now may be covered: older
 * images see the layers of their time.
 */
export function missingRuns(recipes: readonly DiskRecipe[], view: BaseView, identify: SegmentIdentity): BaseRun[] {
  const wanted = wantedRuns(recipes, identify);
  const ranked = [...wanted.values()]
    .map(({ run, users }) => ({ run, users, missing: rest(run, view) }))
    .sort(
      (a, b) =>
        b.users - a.users ||
        Number(b.missing.length === 0) - Number(a.missing.length === 0) ||
        a.run.start - b.run.start ||
        compareBytes(a.run.content, b.run.content) ||
        a.run.offset - b.run.offset,
    );
  const claims = claimed();
  const missing: BaseRun[] = [];
  for (const { run } of ranked) {
    for (const piece of claims.take(run)) missing.push(...rest(partOf(run, piece), view));
  }
  return missing.sort((a, b) => a.start - b.start);
}

/** The base after a layer with these runs. */
export function covered(view: BaseView, by: readonly BaseRun[]): BaseView {
  const over = rangesOf(by);
  const left = view.flatMap((run) => without([run], over).map((piece) => partOf(run, piece)));
  return [...left, ...by].sort((a, b) => a.start - b.start);
}

/** How an image lies upon the base, in whole blocks; elsewhere it shows the base. */
export interface Overlay {
  /** What the image holds itself. */
  readonly own: Ranges;
  /** Where the base shows something, and the image must not. */
  readonly zeros: Ranges;
  /** Of what it shows of the base: names of contents. */
  readonly contents: ReadonlySet<string>;
}

export function overlayOf(recipe: DiskRecipe, view: BaseView, identify: SegmentIdentity): Overlay {
  const same: DiskRange[] = [];
  const own: DiskRange[] = [];
  const unwanted: DiskRange[] = [];
  const contents = new Set<string>();
  const runAt = cursor(view);
  const extentAt = cursor(recipe.extents);
  const cuts = [...recipe.extents, ...view].flatMap(({ start, length }) => [start, start + length]);
  const sorted = [...new Set([...cuts, recipe.size])].sort((a, b) => a - b);
  for (let i = 0; i + 1 < sorted.length; i++) {
    const piece = { start: sorted[i]!, length: sorted[i + 1]! - sorted[i]! };
    if (piece.start >= recipe.size) break;
    const [extent, run] = [extentAt(piece.start), runAt(piece.start)];
    if (extent && run && holdsSame(extent, run, identify)) {
      same.push(piece);
      contents.add(run.content);
    } else if (extent) own.push(piece);
    else if (run) unwanted.push(piece);
  }
  const blocks = { same: outward(same, blockBytes), own: outward(own, blockBytes) };
  const zeros = outward(without(rangesOf(unwanted), rangesOf(recipe.free ?? [])), blockBytes);
  const held = union(blocks.own, intersection(blocks.same, zeros));
  return { own: held, zeros: without(zeros, held), contents };
}

/** The extents as far as they lie in `ranges`. */
export function clipped(extents: readonly Extent[], ranges: Ranges): Extent[] {
  const result: Extent[] = [];
  let i = 0;
  for (const extent of extents) {
    const end = extent.start + extent.length;
    while (i < ranges.length && ranges[i]!.start + ranges[i]!.length <= extent.start) i++;
    for (let k = i; k < ranges.length && ranges[k]!.start < end; k++) {
      const start = Math.max(extent.start, ranges[k]!.start);
      const length = Math.min(end, ranges[k]!.start + ranges[k]!.length) - start;
      const skip = start - extent.start;
      const { source } = extent;
      result.push({
        start,
        length,
        source:
          source.kind === "bytes"
            ? { kind: "bytes", bytes: source.bytes.subarray(skip, skip + length) }
            : { ...source, offset: source.offset + skip },
      });
    }
  }
  return result;
}

/** The runs as a disk's extents. */
export function extentsOf(runs: readonly BaseRun[]): Extent[] {
  return runs.map(({ start, length, segment, segmentOffset }) => ({
    start,
    length,
    source: { kind: "segment", segment, offset: segmentOffset },
  }));
}

/** Parts of segments that fill whole blocks, and how many images have each at that place. */
function wantedRuns(recipes: readonly DiskRecipe[], identify: SegmentIdentity) {
  const wanted = new Map<string, { readonly run: BaseRun; users: number }>();
  for (const { extents } of recipes) {
    for (const { start, length, source } of extents) {
      if (source.kind !== "segment") continue;
      const first = Math.ceil(start / blockBytes) * blockBytes;
      const end = Math.floor((start + length) / blockBytes) * blockBytes;
      if (end <= first) continue;
      const offset = source.offset + first - start;
      const key = `${first} ${end} ${source.segment} ${offset}`;
      const known = wanted.get(key);
      if (known) known.users++;
      else {
        const { segment } = source;
        const content = identify(segment);
        const run = { start: first, length: end - first, content, offset, segment, segmentOffset: offset };
        wanted.set(key, { run, users: 1 });
      }
    }
  }
  return wanted;
}

/** The parts of a run that the base does not show at its place. */
function rest(run: BaseRun, view: BaseView): BaseRun[] {
  const shown: DiskRange[] = [];
  for (let i = firstAfter(view, run.start); i < view.length && view[i]!.start < run.start + run.length; i++) {
    const there = view[i]!;
    if (there.content === run.content && there.offset - there.start === run.offset - run.start) shown.push(there);
  }
  return without([run], shown).map((piece) => partOf(run, piece));
}

export function partOf(run: BaseRun, { start, length }: DiskRange): BaseRun {
  const skip = start - run.start;
  return { ...run, start, length, offset: run.offset + skip, segmentOffset: run.segmentOffset + skip };
}

function holdsSame({ start, source }: Extent, run: BaseRun, identify: SegmentIdentity): boolean {
  if (source.kind !== "segment" || source.offset - start !== run.offset - run.start) return false;
  return source.segment === run.segment || identify(source.segment) === run.content;
}

/** Places that are given away, first come first served. */
function claimed() {
  const taken: DiskRange[] = [];
  const take = (run: DiskRange): Ranges => {
    const first = firstAfter(taken, run.start);
    let end = first;
    while (end < taken.length && taken[end]!.start < run.start + run.length) end++;
    const overlapping = taken.slice(first, end);
    const free = without([run], overlapping);
    taken.splice(first, end - first, ...rangesOf([...overlapping, run]));
    return free;
  };
  return { take };
}

/** Index of the first range that ends after `position`. */
function firstAfter(ranges: readonly DiskRange[], position: number): number {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges[middle]!.start + ranges[middle]!.length <= position) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What covers a position; positions are asked for in rising order. */
function cursor<T extends DiskRange>(ranges: readonly T[]): (position: number) => T | undefined {
  let index = 0;
  return (position) => {
    while (index < ranges.length && ranges[index]!.start + ranges[index]!.length <= position) index++;
    const range = ranges[index];
    return range && range.start <= position ? range : undefined;
  };
}
