import type { DiskRange, DiskRecipe, Extent } from "../extent.ts";
import { comparedBlockBytes, type SegmentIdentity } from "./recipe-identity.ts";

/**
 * What must be written to turn a disk of the recipe `before` into one of `after`: ranges in which their contents come
 * from different places, sorted. Nothing is read; bytes that happen to be equal but come from different segments
 * count as different.
 */
export function recipeDifference(before: DiskRecipe, after: DiskRecipe, identify: SegmentIdentity): DiskRange[] {
  const cuts = [...new Set([...boundaries(before), ...boundaries(after)])].sort((a, b) => a - b);
  const oldAt = cursor(before.extents);
  const newAt = cursor(after.extents);
  const ranges: { start: number; length: number }[] = [];
  const add = (start: number, length: number): void => {
    const last = ranges.at(-1);
    if (last && last.start + last.length === start) last.length += length;
    else ranges.push({ start, length });
  };
  for (let i = 0; i + 1 < cuts.length; i++) {
    const [start, end] = [cuts[i]!, cuts[i + 1]!];
    const [old, fresh] = [oldAt(start), newAt(start)];
    // Literal bytes are long runs of unrelated small files: they are looked at block by block.
    const step = old?.source.kind === "bytes" && fresh?.source.kind === "bytes" ? comparedBlockBytes : end - start;
    for (let at = start; at < end; at += step) {
      const length = Math.min(step, end - at);
      if (!isSame(old, fresh, at, length, identify)) add(at, length);
    }
  }
  return ranges;
}

function boundaries({ extents }: DiskRecipe): number[] {
  return extents.flatMap(({ start, length }) => [start, start + length]);
}

/** The extent that covers a position; positions are asked for in rising order. */
function cursor(extents: readonly Extent[]): (position: number) => Extent | undefined {
  let index = 0;
  return (position) => {
    while (index < extents.length && extents[index]!.start + extents[index]!.length <= position) index++;
    const extent = extents[index];
    return extent && extent.start <= position ? extent : undefined;
  };
}

function isSame(
  before: Extent | undefined,
  after: Extent | undefined,
  start: number,
  length: number,
  identify: SegmentIdentity,
): boolean {
  if (!before || !after) return before === after;
  const [a, b] = [before.source, after.source];
  const [skipA, skipB] = [start - before.start, start - after.start];
  if (a.kind === "segment" && b.kind === "segment") {
    const isOneRun = a.offset + skipA === b.offset + skipB;
    return isOneRun && (a.segment === b.segment || identify(a.segment) === identify(b.segment));
  }
  if (a.kind !== "bytes" || b.kind !== "bytes") return false;
  const isOnePlace = a.bytes.buffer === b.bytes.buffer && a.bytes.byteOffset + skipA === b.bytes.byteOffset + skipB;
  if (isOnePlace) return true;
  return Buffer.compare(a.bytes.subarray(skipA, skipA + length), b.bytes.subarray(skipB, skipB + length)) === 0;
}
