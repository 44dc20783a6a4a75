import { failure } from "../base/error.ts";
import { sha256 } from "../base/hash.ts";
import { compareBytes } from "../base/order.ts";

/** Something that wants a stable place: `key` decides where, `units` how much room. */
export interface Placeable {
  readonly key: string;
  readonly units: number;
}

/**
 * Gives each item an address from its own key alone, so that it lies at the same place in every image that
 * holds it. Where two would overlap, the larger keeps its place (ties by key) and the other moves on to its
 * next candidate address: a pure function of the set, whatever the order of `items`. Addresses and sizes are
 * in units of the caller's choice (4 KiB blocks, inodes); the region is [start, start + length).
 *
 * A region so full that scattered items leave no gap large enough is packed from its start instead: the
 * addresses are then still a function of the set, only no longer stable when it changes.
 *
 * @throws MesoError `no-room` when the items cannot fit.
 */
export function place(items: readonly Placeable[], region: { start: number; length: number }): Map<string, number> {
  const ordered = [...items].sort((a, b) => b.units - a.units || compareBytes(a.key, b.key));
  const offsets = scatter(ordered, region.length) ?? pack(ordered, region.length);
  if (!offsets) {
    const units = ordered.reduce((sum, item) => sum + item.units, 0);
    throw failure("no-room", `no room for ${units} units in a region of ${region.length}`, {
      hint: "declare a larger image size",
    });
  }
  return new Map(ordered.map(({ key }, i) => [key, region.start + offsets[i]!]));
}

function scatter(ordered: readonly Placeable[], length: number): number[] | undefined {
  const taken = new IntervalSet();
  const offsets: number[] = [];
  for (const { key, units } of ordered) {
    const offset = findRoom(key, units, length, taken);
    if (offset === undefined) return undefined;
    taken.add(offset, offset + units);
    offsets.push(offset);
  }
  return offsets;
}

function pack(ordered: readonly Placeable[], length: number): number[] | undefined {
  const offsets: number[] = [];
  let end = 0;
  for (const { units } of ordered) {
    offsets.push(end);
    end += units;
  }
  return end <= length ? offsets : undefined;
}

/** Candidates drawn from the key before the region is searched from its start. */
const candidatesPerKey = 16;

function findRoom(key: string, units: number, length: number, taken: IntervalSet): number | undefined {
  const span = length - units + 1;
  if (span <= 0) return undefined;
  for (let attempt = 0; attempt < candidatesPerKey; attempt++) {
    const digest = sha256(`${key}#${attempt}`);
    const offset = Number.parseInt(digest.slice(0, 13), 16) % span;
    if (taken.isFree(offset, offset + units)) return offset;
  }
  return taken.firstFree(units, length);
}

/** Disjoint half-open intervals, sorted by start. */
class IntervalSet {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  /** Index of the first interval that ends after `position`. */
  #after(position: number): number {
    let low = 0;
    let high = this.#ends.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#ends[middle]! <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  isFree(start: number, end: number): boolean {
    const next = this.#starts[this.#after(start)];
    return next === undefined || next >= end;
  }

  add(start: number, end: number): void {
    const index = this.#after(start);
    this.#starts.splice(index, 0, start);
    this.#ends.splice(index, 0, end);
  }

  firstFree(units: number, length: number): number | undefined {
    let candidate = 0;
    for (let i = 0; i < this.#starts.length; i++) {
      if (this.#starts[i]! - candidate >= units) return candidate;
      candidate = this.#ends[i]!;
    }
    return length - candidate >= units ? candidate : undefined;
  }
}
