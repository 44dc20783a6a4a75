import type { DiskRange, DiskRecipe } from "../../image/extent.ts";
import { aligned, common, cut, joined, type Ranges, without } from "./ranges.ts";
import { objectBytes } from "./rbd-driver.ts";
import { commonPlaces, placeRanges, type SegmentPlaces } from "./shared-base.ts";

/** What makes a disk of a clone of the base. */
export interface OwnBlocks {
  /** Sorted, each within one object, in whole blocks. */
  readonly writes: readonly DiskRange[];
  /** Where the base holds what others use, and this disk must read as zeros. */
  readonly zeros: readonly DiskRange[];
}

/**
 * What must be written to a clone of a base that holds `base` so that it holds the disk, whose segments are `places`:
 * all that the base has not at its place. With `closeGaps`, holes of up to so many bytes between two writes to one
 * object are written as the zeros that they are: fewer, larger operations.
 */
export function ownBlocks(recipe: DiskRecipe, places: SegmentPlaces, base: SegmentPlaces, closeGaps = 0): OwnBlocks {
  const provided = placeRanges(commonPlaces(places, base));
  const inBase = placeRanges(base);
  const own = aligned(without(joined(recipe.extents), provided), blockBytes, recipe.size);
  const strange = without(without(inBase, provided), own);
  const isInOneObject = ({ start, length }: DiskRange): boolean =>
    Math.floor((start - 1) / objectBytes) === Math.floor((start + length) / objectBytes);
  // Over what the base holds, writing more would copy more up.
  const gaps = without(joined(own, closeGaps), own).filter(
    (gap) =>
      isInOneObject(gap) && without([gap], inBase).length === 1 && without([gap], inBase)[0]!.length === gap.length,
  );
  const zeros = cut(without(strange, joined(recipe.free ?? [])), objectBytes);
  return {
    writes: cut(joined([...own, ...gaps]), objectBytes),
    zeros: cut(joined(wholeObjects(zeros, recipe, joined([...own, ...provided]))), objectBytes),
  };
}

/**
 * Where a disk has nothing in a whole object, that is what becomes zeros: an object that hides the base's costs
 * nothing, whereas one that hides a part of it is a copy of the rest.
 */
function wholeObjects(zeros: Ranges, { size }: DiskRecipe, used: Ranges): DiskRange[] {
  return zeros.map((range) => {
    const start = Math.floor(range.start / objectBytes) * objectBytes;
    const object = { start, length: Math.min(objectBytes, size - start) };
    return common([object], used).length === 0 ? object : range;
  });
}

const blockBytes = 4096;
