import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type DiskRange, type DiskRecipe, diskRecipe, type Extent } from "../../image/extent.ts";
import { type BaseView, clipped, covered, extentsOf, missingRuns, overlayOf } from "./base-view.ts";
import { intersection, outward, type Ranges, rangesOf, totalLength, union, without } from "./ranges.ts";

const block = 4096;
const blocks = 48;
const size = blocks * block;
const identify = (segment: string): string => `contents of ${segment}`;

/** Disks of segments and literal bytes, with ragged edges; some do not mind what lies in a part that they leave free. */
const recipes: fc.Arbitrary<DiskRecipe> = fc
  .record({
    runs: fc.array(
      fc.record({
        skip: fc.integer({ min: 0, max: 5 * block }),
        length: fc.integer({ min: 1, max: 6 * block }),
        segment: fc.constantFrom("a", "b", "c", undefined),
        isAligned: fc.boolean(),
      }),
      { maxLength: 10 },
    ),
    free: fc.option(fc.record({ start: fc.nat(size / 2), length: fc.integer({ min: 1, max: size / 2 }) })),
  })
  .map(({ runs, free }) => {
    const extents: Extent[] = [];
    let at = 0;
    for (const { skip, length, segment, isAligned } of runs) {
      const start = isAligned ? Math.ceil((at + skip) / block) * block : at + skip;
      const end = isAligned ? start + Math.ceil(length / block) * block : start + length;
      if (end > size) break;
      // Mostly at the segment's own address, as placement has it.
      const source = segment
        ? ({ kind: "segment", segment, offset: isAligned ? start : start + block } as const)
        : ({ kind: "bytes", bytes: Buffer.alloc(end - start, 1 + (start % 251)) } as const);
      extents.push({ start, length: end - start, source });
      at = end;
    }
    return diskRecipe(size, extents, free ? [free] : undefined);
  });

describe("the shared base", () => {
  it("and an image's own blocks read as the recipe wherever it matters, for all images of all publications", () => {
    fc.assert(
      fc.property(fc.array(fc.array(recipes, { minLength: 1, maxLength: 4 }), { maxLength: 4 }), (publications) => {
        let view: BaseView = [];
        for (const batch of publications) {
          const missing = missingRuns(batch, view, identify);
          for (const { start, length } of missing) assert.ok(start % block === 0 && length % block === 0);
          assert.equal(totalLength(rangesOf(missing)), totalLength(missing), "no place twice");
          view = covered(view, missing);
          assert.deepEqual(missingRuns(batch, view, identify), [], "nothing is written twice");
          for (const recipe of batch) assertReads(recipe, view);
        }
      }),
      { numRuns: 150 },
    );
  });

  it("gives a place to what most images want, then to what is there", () => {
    const disk = (segment: string) =>
      diskRecipe(size, [{ start: 0, length: 4 * block, source: { kind: "segment", segment, offset: 0 } }]);
    const names = (view: BaseView) => view.map(({ segment }) => segment);
    const view = missingRuns([disk("a"), disk("b"), disk("b")], [], identify);
    assert.deepEqual(names(view), ["b"]);
    assert.deepEqual(missingRuns([disk("a"), disk("b")], view, identify), []);
    assert.deepEqual(names(missingRuns([disk("a")], view, identify)), ["a"]);
  });

  it("holds whatever part of a run another leaves free", () => {
    const run = (segment: string, start: number, length: number): Extent => ({
      start: start * block,
      length: length * block,
      source: { kind: "segment", segment, offset: 0 },
    });
    const large = diskRecipe(size, [run("large", 0, 10)]);
    const small = diskRecipe(size, [run("small", 4, 2)]);
    const missing = missingRuns([large, small, small], [], identify);
    assert.deepEqual(
      missing.map(({ segment, start, length, offset }) => [segment, start / block, length / block, offset / block]),
      [
        ["large", 0, 4, 0],
        ["small", 4, 2, 0],
        ["large", 6, 4, 6],
      ],
    );
  });
});

describe("ranges", () => {
  const pieces = fc.array(fc.record({ start: fc.nat(60), length: fc.nat(12) }), { maxLength: 8 });
  const members = (ranges: readonly DiskRange[]) =>
    new Set(ranges.flatMap(({ start, length }) => Array.from({ length }, (_, i) => start + i)));
  const assertSet = (ranges: Ranges, expected: ReadonlySet<number>) => {
    assert.deepEqual(
      [...members(ranges)],
      [...expected].sort((a, b) => a - b),
    );
    assert.equal(totalLength(ranges), expected.size);
  };

  it("are sets of bytes", () => {
    fc.assert(
      fc.property(pieces, pieces, (first, second) => {
        const [a, b] = [rangesOf(first), rangesOf(second)];
        const [left, right] = [members(a), members(b)];
        assertSet(a, members(first));
        assertSet(union(a, b), left.union(right));
        assertSet(intersection(a, b), left.intersection(right));
        assertSet(without(a, b), left.difference(right));
        const widened = [...left].flatMap((byte) => Array.from({ length: 5 }, (_, i) => Math.floor(byte / 5) * 5 + i));
        assertSet(outward(a, 5), new Set(widened));
      }),
    );
  });
});

/** The image as QEMU would read it, byte by byte as where each comes from, is the recipe. */
function assertReads(recipe: DiskRecipe, view: BaseView): void {
  const { own, zeros, contents } = overlayOf(recipe, view, identify);
  for (const { start, length } of [...own, ...zeros]) assert.ok(start % block === 0 && length % block === 0);
  assert.deepEqual(intersection(own, zeros), []);
  const shown = extentsOf(view);
  const held = clipped(recipe.extents, own);
  const cuts = [...recipe.extents, ...(recipe.free ?? []), ...view].flatMap(({ start, length }) => [
    start,
    start + length,
  ]);
  for (const at of cuts.flatMap((cut) => [cut - 1, cut, cut + 1]).filter((byte) => byte >= 0 && byte < size)) {
    const wanted = origin(recipe.extents, at);
    if (wanted === undefined && isIn(recipe.free ?? [], at)) continue;
    const below = isIn([...own, ...zeros], at) ? undefined : origin(shown, at);
    assert.equal(origin(held, at) ?? below, wanted, `byte ${at}`);
    if (below !== undefined && wanted !== undefined) assert.ok(contents.has(`contents of ${below.split("+")[0]}`));
  }
}

function origin(extents: readonly Extent[], at: number): string | undefined {
  const found = extents.find(({ start, length }) => start <= at && at < start + length);
  if (!found) return undefined;
  const { start, source } = found;
  return source.kind === "segment" ? `${source.segment}+${source.offset + at - start}` : `${source.bytes[at - start]}`;
}

function isIn(ranges: readonly DiskRange[], at: number): boolean {
  return ranges.some(({ start, length }) => start <= at && at < start + length);
}
