import { gunzipSync, gzipSync } from "node:zlib";
import { canonicalJson } from "../../base/canonical.ts";
import { compareBytes } from "../../base/order.ts";
import { aCount, aDigest, mismatch, oneOf, type Shape } from "../../base/shape.ts";
import type { DiskRange, DiskRecipe } from "../../image/extent.ts";
import type { SegmentIdentity } from "../../image/output/recipe-identity.ts";
import { common, joined, type Ranges, without } from "./ranges.ts";

/**
 * What the base holds, or a disk has of segments: by content, where on the disk. Content is named by what a segment's
 * data file holds and by where its byte 0 would lie on the disk, so that parts of one segment at one place are one.
 */
export type SegmentPlaces = ReadonlyMap<string, Ranges>;

const blockBytes = 4096;
const leastAmongMetadata = 64 << 10;

/**
 * The parts of a disk that come from segments in whole blocks: what can be shared. Small pieces outside of the space for
 * contents (`free`) stay out: they lie among metadata, which would be copied up where the base holds something.
 */
export function segmentPlaces({ extents, free }: DiskRecipe, identify: SegmentIdentity): SegmentPlaces {
  const places = new Map<string, DiskRange[]>();
  const isInFree = (start: number, end: number): boolean =>
    !free || free.some((range) => start >= range.start && end <= range.start + range.length);
  for (const { start, length, source } of extents) {
    if (source.kind !== "segment" || start % blockBytes !== 0 || length % blockBytes !== 0) continue;
    if (length < leastAmongMetadata && !isInFree(start, start + length)) continue;
    const content = `${identify(source.segment)} ${start - source.offset}`;
    const ranges = places.get(content);
    if (ranges) ranges.push({ start, length });
    else places.set(content, [{ start, length }]);
  }
  return new Map([...places].map(([content, ranges]) => [content, joined(ranges)]));
}

/**
 * What the base shall hold so that disks find in it what they share: all that it holds and all that they want, where
 * two want the same place what more of them want (ties: what is there, then the content's name). A pure function.
 */
export function plannedBase(held: SegmentPlaces, wanted: readonly SegmentPlaces[]): SegmentPlaces {
  // The usual case after the first publication, and by far the quickest to tell.
  if (wanted.every((places) => missingPlaces(places, held).size === 0)) return held;
  const votes = new Map<string, number>();
  const ranges = new Map<string, DiskRange[]>();
  for (const places of wanted) {
    for (const [content, some] of places) {
      votes.set(content, (votes.get(content) ?? 0) + 1);
      const known = ranges.get(content);
      if (known) known.push(...some);
      else ranges.set(content, [...some]);
    }
  }
  const order = [...votes.keys()].sort(
    (a, b) => votes.get(b)! - votes.get(a)! || Number(held.has(b)) - Number(held.has(a)) || compareBytes(a, b),
  );
  let taken: Ranges = [];
  const planned = new Map<string, Ranges>();
  const claim = (content: string, some: readonly DiskRange[]): void => {
    const own = joined([...(planned.get(content) ?? []), ...without(joined(some), taken)]);
    if (own.length === 0) return;
    planned.set(content, own);
    taken = joined([...taken, ...own]);
  };
  for (const content of order) claim(content, ranges.get(content)!);
  for (const [content, some] of [...held].sort(([a], [b]) => compareBytes(a, b))) claim(content, some);
  return planned;
}

/** What lies in `planned` and must be written to make it of `held`. */
export function missingPlaces(planned: SegmentPlaces, held: SegmentPlaces): SegmentPlaces {
  return filtered(planned, (content, ranges) => without(ranges, held.get(content) ?? []));
}

/** What both have. */
export function commonPlaces(a: SegmentPlaces, b: SegmentPlaces): SegmentPlaces {
  return filtered(a, (content, ranges) => common(ranges, b.get(content) ?? []));
}

export function placesWithout(places: SegmentPlaces, gone: Ranges): SegmentPlaces {
  return filtered(places, (_, ranges) => without(ranges, gone));
}

export function placeRanges(places: SegmentPlaces): DiskRange[] {
  return joined([...places.values()].flat());
}

function filtered(places: SegmentPlaces, keep: (content: string, ranges: Ranges) => Ranges): SegmentPlaces {
  return new Map(
    [...places]
      .map(([content, ranges]) => [content, keep(content, ranges)] as const)
      .filter(([, kept]) => kept.length > 0),
  );
}

/** The table of a snapshot of the base, as it is kept beside it. */
export function encodePlaces(places: SegmentPlaces): Buffer {
  const entries = [...places].sort(([a], [b]) => compareBytes(a, b));
  const contents = entries.map(([content, ranges]) => {
    const [identity, origin] = content.split(" ");
    return { identity, origin: Number(origin), ranges: ranges.flatMap(({ start, length }) => [start, length]) };
  });
  return gzipSync(canonicalJson({ formatVersion: 1, contents }));
}

/** Undefined for anything but a table: the base is then made anew. */
export function decodePlaces(bytes: Uint8Array): SegmentPlaces | undefined {
  let value: unknown;
  try {
    value = JSON.parse(gunzipSync(bytes, { maxOutputLength: mostTableBytes }).toString());
  } catch {
    return undefined;
  }
  if (mismatch(value, tableShape)) return undefined;
  const { contents } = value as { contents: { identity: string; origin: number; ranges: number[] }[] };
  const places = new Map<string, Ranges>();
  for (const { identity, origin, ranges } of contents) {
    const pairs: DiskRange[] = [];
    for (let i = 0; i + 1 < ranges.length; i += 2) pairs.push({ start: ranges[i]!, length: ranges[i + 1]! });
    places.set(`${identity} ${origin}`, joined(pairs));
  }
  return places;
}

const mostTableBytes = 64 << 20;

const tableShape: Shape = {
  members: {
    formatVersion: oneOf(1),
    contents: {
      list: {
        members: {
          identity: aDigest,
          origin: { expected: "a whole number", holds: Number.isSafeInteger },
          ranges: { list: aCount },
        },
      },
    },
  },
};
