import type { DiskRange } from "../../image/extent.ts";

/** Sets of bytes of a disk as ranges: sorted, none empty, none touching the next. */
export type Ranges = readonly DiskRange[];

/** From ranges in any order, which may overlap. */
export function rangesOf(pieces: readonly DiskRange[]): Ranges {
  const merged: { start: number; length: number }[] = [];
  for (const { start, length } of pieces.toSorted((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    if (last && last.start + last.length >= start) last.length = Math.max(last.length, start + length - last.start);
    else if (length > 0) merged.push({ start, length });
  }
  return merged;
}

export function union(a: Ranges, b: Ranges): Ranges {
  return rangesOf([...a, ...b]);
}

export function intersection(a: Ranges, b: Ranges): Ranges {
  const common: DiskRange[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const [left, right] = [a[i]!, b[j]!];
    const start = Math.max(left.start, right.start);
    const end = Math.min(left.start + left.length, right.start + right.length);
    if (end > start) common.push({ start, length: end - start });
    if (left.start + left.length < right.start + right.length) i++;
    else j++;
  }
  return common;
}

/** What is in `a` and not in `b`. */
export function without(a: Ranges, b: Ranges): Ranges {
  const left: DiskRange[] = [];
  let j = 0;
  for (const { start, length } of a) {
    let at = start;
    const end = start + length;
    while (j < b.length && b[j]!.start + b[j]!.length <= at) j++;
    for (let k = j; k < b.length && b[k]!.start < end; k++) {
      if (b[k]!.start > at) left.push({ start: at, length: b[k]!.start - at });
      at = Math.max(at, b[k]!.start + b[k]!.length);
    }
    if (at < end) left.push({ start: at, length: end - at });
  }
  return left;
}

/** Widened to whole units. */
export function outward(pieces: readonly DiskRange[], unit: number): Ranges {
  return rangesOf(
    pieces.map(({ start, length }) => {
      const first = Math.floor(start / unit) * unit;
      return { start: first, length: Math.ceil((start + length) / unit) * unit - first };
    }),
  );
}

/** Bytes in all. */
export function totalLength(ranges: readonly DiskRange[]): number {
  return ranges.reduce((sum, { length }) => sum + length, 0);
}
