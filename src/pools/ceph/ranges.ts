import type { DiskRange } from "../../image/extent.ts";

/** Sorted, disjoint, none empty, none touching the next: what the functions here give and take. */
export type Ranges = readonly DiskRange[];

/** The same bytes as sorted, disjoint ranges; those that lie at most `gap` apart are joined across it. */
export function joined(ranges: readonly DiskRange[], gap = 0): DiskRange[] {
  const sorted = [...ranges].sort((a, b) => a.start - b.start);
  const result: { start: number; length: number }[] = [];
  for (const { start, length } of sorted) {
    const last = result.at(-1);
    if (last && start <= last.start + last.length + gap) {
      last.length = Math.max(last.length, start + length - last.start);
    } else if (length > 0) result.push({ start, length });
  }
  return result;
}

/** What is in `from` and not in `what`. */
export function without(from: Ranges, what: Ranges): DiskRange[] {
  const result: DiskRange[] = [];
  let index = 0;
  for (const { start, length } of from) {
    const end = start + length;
    let at = start;
    while (index < what.length && what[index]!.start + what[index]!.length <= at) index++;
    for (let next = index; next < what.length && what[next]!.start < end; next++) {
      const hole = what[next]!;
      if (hole.start > at) result.push({ start: at, length: hole.start - at });
      at = Math.max(at, hole.start + hole.length);
    }
    if (at < end) result.push({ start: at, length: end - at });
  }
  return result;
}

export function common(a: Ranges, b: Ranges): DiskRange[] {
  return without(a, without(a, b));
}

/** Cut at every multiple of `unit`. */
export function cut(ranges: Ranges, unit: number): DiskRange[] {
  const result: DiskRange[] = [];
  for (const { start, length } of ranges) {
    const end = start + length;
    for (let at = start; at < end; ) {
      const stop = Math.min(end, (Math.floor(at / unit) + 1) * unit);
      result.push({ start: at, length: stop - at });
      at = stop;
    }
  }
  return result;
}

/** Grown to whole multiples of `unit`, but not beyond `size`. */
export function aligned(ranges: readonly DiskRange[], unit: number, size: number): DiskRange[] {
  return joined(
    ranges.map(({ start, length }) => {
      const from = Math.floor(start / unit) * unit;
      return { start: from, length: Math.min(Math.ceil((start + length) / unit) * unit, size) - from };
    }),
  );
}

export function bytesOf(ranges: readonly DiskRange[]): number {
  return ranges.reduce((sum, { length }) => sum + length, 0);
}
