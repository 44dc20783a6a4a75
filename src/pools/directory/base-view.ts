import { sha256 } from "../../base/hash.ts";
import { compareBytes } from "../../base/order.ts";
import type { DiskRange, DiskRecipe, Extent } from "../../image/extent.ts";
import type { SegmentIdentity } from "../../image/output/recipe-identity.ts";
import { blockBytes } from "../../image/sparse-blocks.ts";
import type { ContentSource } from "../../store/file-tree.ts";
import { intersection, outward, type Ranges, rangesOf, union, without } from "./ranges.ts";

/**
 * Whole blocks of the base and what they hold, by name: a part of a segment, named by what the segment holds, or one
 * block of other bytes, named by their hash. Inode tables and directories are much the same in all machines.
 */
export interface BaseRun extends Extent {
  readonly content: string;
  /** Bytes from the start of the segment. */
  readonly offset: number;
}

/** What the base shows, sorted, without overlap: between the runs are holes. */
export type BaseView = readonly BaseRun[];

/** Names contents while images are published; remembers, as the same are asked for again and again. */
export interface Naming {
  readonly segment: SegmentIdentity;
  /** Of a block's bytes; blocks at one place of many disks are mostly equal, and compared faster than hashed. */
  readonly block: (start: number, bytes: Uint8Array) => string;
}

export function namingBy(identify: SegmentIdentity): Naming {
  const segments = new Map<string, string>();
  const blocks = new Map<number, { readonly bytes: Uint8Array; readonly name: string }[]>();
  return {
    segment: (segment) => {
      const name = segments.get(segment) ?? identify(segment);
      segments.set(segment, name);
      return name;
    },
    block: (start, bytes) => {
      const known = blocks.get(start) ?? [];
      const equal = known.find((one) => Buffer.compare(one.bytes, bytes) === 0);
      if (equal) return equal.name;
      const name = `${literalPrefix}${sha256(bytes)}`;
      if (known.length < variantsKept) blocks.set(start, [...known, { bytes, name }]);
      return name;
    },
  };
}

const literalPrefix = "sha256:";
const variantsKept = 4;

/** Contents that no segment holds. */
export function isLiteral(content: string): boolean {
  return content.startsWith(literalPrefix);
}

/**
 * What must be added to the base so that the images find there what they share: all segments, and other blocks that
 * several have. Where two want the same place, the one that more images want gets it, then the one that is there
 * already. What the base shows now may be covered: older images see the layers of their time.
 */
export function missingRuns(recipes: readonly DiskRecipe[], view: BaseView, naming: Naming): BaseRun[] {
  const wanted = wantedRuns(recipes, naming);
  const ranked = [...wanted.values()]
    .filter(({ run, users }) => users > 1 || !isLiteral(run.content))
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
  /** What it shows of the base: names of segments' contents. */
  readonly contents: ReadonlySet<string>;
}

export function overlayOf(recipe: DiskRecipe, view: BaseView, naming: Naming): Overlay {
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
    if (extent && run && holdsSame(extent, run, naming)) {
      same.push(piece);
      if (!isLiteral(run.content)) contents.add(run.content);
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
      result.push({ start, length, source: partOfSource(extent.source, start - extent.start, length) });
    }
  }
  return result;
}

/** What fills whole blocks, and how many images have it at that place. */
function wantedRuns(recipes: readonly DiskRecipe[], naming: Naming) {
  const wanted = new Map<string, { readonly run: BaseRun; users: number }>();
  const want = (key: string, run: () => BaseRun): void => {
    const known = wanted.get(key);
    if (known) known.users++;
    else wanted.set(key, { run: run(), users: 1 });
  };
  for (const { extents } of recipes) {
    for (const extent of extents) {
      const start = Math.ceil(extent.start / blockBytes) * blockBytes;
      const end = Math.floor((extent.start + extent.length) / blockBytes) * blockBytes;
      const { source } = extent;
      if (source.kind === "segment") {
        const { segment } = source;
        const offset = source.offset + start - extent.start;
        const length = end - start;
        if (length <= 0) continue;
        const run = () => ({ start, length, content: naming.segment(segment), offset, source: { ...source, offset } });
        want(`${start} ${end} ${segment} ${offset}`, run);
      } else {
        for (let at = start; at < end; at += blockBytes) {
          const bytes = source.bytes.subarray(at - extent.start, at - extent.start + blockBytes);
          const content = naming.block(at, bytes);
          const run = () => ({ start: at, length: blockBytes, content, offset: 0, source: { ...source, bytes } });
          want(`${at} ${content}`, run);
        }
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
  return { ...run, start, length, offset: run.offset + skip, source: partOfSource(run.source, skip, length) };
}

function partOfSource(source: ContentSource, skip: number, length: number): ContentSource {
  if (source.kind === "segment") return { ...source, offset: source.offset + skip };
  return { kind: "bytes", bytes: source.bytes.subarray(skip, skip + length) };
}

function holdsSame({ start, length, source }: Extent, run: BaseRun, naming: Naming): boolean {
  if (source.kind === "segment") {
    return source.offset - start === run.offset - run.start && naming.segment(source.segment) === run.content;
  }
  if (!isLiteral(run.content) || start > run.start || start + length < run.start + run.length) return false;
  const skip = run.start - start;
  return naming.block(run.start, source.bytes.subarray(skip, skip + run.length)) === run.content;
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
