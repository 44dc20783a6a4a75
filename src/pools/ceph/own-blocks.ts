import type { DiskRange, DiskRecipe } from "../../image/extent.ts";
import { aligned, common, cut, joined, type Ranges, without } from "./ranges.ts";
import { objectBytes } from "./rbd-driver.ts";
import { commonPlaces, placeRanges, type SegmentPlaces } from "./shared-base.ts";

/** What makes a disk of a clone of the base. All are sorted, disjoint, and each within one object. */
export interface OwnBlocks {
  /** In whole blocks, to objects that the base has something in. */
  readonly writes: readonly DiskRange[];
  /** In whole blocks, to objects that the base has nothing in. */
  readonly fresh: readonly DiskRange[];
  /** Where the base holds what others use, and this disk must read as zeros. */
  readonly zeros: readonly DiskRange[];
}

/**
 * What must be written to a clone of a base that holds `base` so that it holds the disk, whose segments are `places`:
 * all that the base has not at its place.
 */
export function ownBlocks(recipe: DiskRecipe, places: SegmentPlaces, base: SegmentPlaces): OwnBlocks {
  const provided = placeRanges(commonPlaces(places, base));
  const inBase = placeRanges(base);
  const own = aligned(without(joined(recipe.extents), provided), blockBytes, recipe.size);
  const strange = without(without(inBase, provided), own);
  const zeros = cut(without(strange, joined(recipe.free ?? [])), objectBytes);
  const objectsInBase = aligned(inBase, objectBytes, recipe.size);
  return {
    writes: cut(common(own, objectsInBase), objectBytes),
    fresh: cut(without(own, objectsInBase), objectBytes),
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
