import { compareBytes } from "./order.ts";

/**
 * The names most like `name`, best first: for "did you mean". Distance is Damerau-Levenshtein (optimal string
 * alignment), whatever the case; names further than a third of the length away are no help and are left out.
 */
export function nearestNames(name: string, candidates: Iterable<string>, count = 3): string[] {
  const limit = Math.max(1, Math.floor(name.length / 3));
  const wanted = name.toLowerCase();
  const near: { candidate: string; distance: number }[] = [];
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - name.length) > limit) continue;
    const distance = editDistance(wanted, candidate.toLowerCase(), limit);
    if (distance <= limit) near.push({ candidate, distance });
  }
  // Of names equally far, one that shares its beginning with what was written is likelier meant.
  near.sort(
    (a, b) =>
      a.distance - b.distance ||
      sharedPrefix(b.candidate, name) - sharedPrefix(a.candidate, name) ||
      compareBytes(a.candidate, b.candidate),
  );
  return near.slice(0, count).map(({ candidate }) => candidate);
}

/** A hint that proposes the nearest names, or no hint. */
export function nearestHint(name: string, candidates: Iterable<string>): { hint?: string } {
  const near = nearestNames(name, candidates);
  return near.length === 0 ? {} : { hint: `did you mean ${near.join(" or ")}?` };
}

/** Edits between two strings, or `limit + 1` as soon as it is certain that there are more than `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    let best = i;
    for (let j = 1; j <= b.length; j++) {
      const substitution = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, substitution);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) cost = Math.min(cost, beforeLast[j - 2]! + 1);
      row.push(cost);
      best = Math.min(best, cost);
    }
    if (best > limit) return limit + 1;
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}

function sharedPrefix(a: string, b: string): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}
