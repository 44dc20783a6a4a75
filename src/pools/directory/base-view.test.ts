import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type DiskRange, type DiskRecipe, diskRecipe, type Extent } from "../../image/extent.ts";
import { type BaseView, clipped, covered, missingRuns, namingBy, overlayOf } from "./base-view.ts";
import { intersection, outward, type Ranges, rangesOf, totalLength, union, without } from "./ranges.ts";

const block = 4096;
const blocks = 48;
const size = blocks * block;
const naming = namingBy((segment) => `contents of ${segment}`);

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
          const missing = missingRuns(batch, view, naming);
          for (const { start, length } of missing) assert.ok(start % block === 0 && length % block === 0);
          assert.equal(totalLength(rangesOf(missing)), totalLength(missing), "no place twice");
          view = covered(view, missing);
          assert.deepEqual(missingRuns(batch, view, naming), [], "nothing is written twice");
          for (const recipe of batch) assertReads(recipe, view);
        }
      }),
      { numRuns: 150 },
    );
  });

  it("gives a place to what most images want, then to what is there", () => {
    const disk = (segment: string) =>
      diskRecipe(size, [{ start: 0, length: 4 * block, source: { kind: "segment", segment, offset: 0 } }]);
    const names = (view: BaseView) => view.map(({ content }) => content.slice(-1));
    const view = missingRuns([disk("a"), disk("b"), disk("b")], [], naming);
    assert.deepEqual(names(view), ["b"]);
    assert.deepEqual(missingRuns([disk("a"), disk("b")], view, naming), []);
    assert.deepEqual(names(missingRuns([disk("a")], view, naming)), ["a"]);
  });

  it("has other blocks only when several images have them, and images show them where they are equal", () => {
    const bytes = (...fills: number[]) => Buffer.concat(fills.map((fill) => Buffer.alloc(block, fill)));
    const disk = (start: number, contents: Buffer) =>
      diskRecipe(size, [{ start, length: contents.length, source: { kind: "bytes", bytes: contents } }]);
    const [one, two] = [disk(block, bytes(1, 2, 3)), disk(block, bytes(1, 9, 3, 4))];
    assert.deepEqual(missingRuns([one], [], naming), []);
    const view = missingRuns([one, two], [], naming);
    assert.deepEqual(
      view.map(({ start }) => start / block),
      [1, 3],
    );
    assert.deepEqual(overlayOf(two, view, naming).own, [
      { start: 2 * block, length: block },
      { start: 4 * block, length: block },
    ]);
    // Cut otherwise: a block is shown only when it is there whole.
    const ragged = disk(block + 1, bytes(1, 9, 3).subarray(1));
    assert.deepEqual(overlayOf(ragged, view, naming).own, [{ start: block, length: 2 * block }]);
  });

  it("holds whatever part of a run another leaves free", () => {
    const run = (segment: string, start: number, length: number): Extent => ({
      start: start * block,
      length: length * block,
      source: { kind: "segment", segment, offset: 0 },
    });
    const large = diskRecipe(size, [run("large", 0, 10)]);
    const small = diskRecipe(size, [run("small", 4, 2)]);
    const missing = missingRuns([large, small, small], [], naming);
    assert.deepEqual(
      missing.map(({ content, start, length, offset }) => [
        content.slice("contents of ".length),
        start / block,
        length / block,
        offset / block,
      ]),
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
  const { own, zeros, contents } = overlayOf(recipe, view, naming);
  for (const { start, length } of [...own, ...zeros]) assert.ok(start % block === 0 && length % block === 0);
  assert.deepEqual(intersection(own, zeros), []);
  const held = clipped(recipe.extents, own);
  const cuts = [...recipe.extents, ...(recipe.free ?? []), ...view].flatMap(({ start, length }) => [
    start,
    start + length,
  ]);
  for (const at of cuts.flatMap((cut) => [cut - 1, cut, cut + 1]).filter((byte) => byte >= 0 && byte < size)) {
    const wanted = origin(recipe.extents, at);
    if (wanted === undefined && isIn(recipe.free ?? [], at)) continue;
    const below = isIn([...own, ...zeros], at) ? undefined : origin(view, at);
    assert.equal(origin(held, at) ?? below, wanted, `byte ${at}`);
    if (below?.includes("+") && wanted !== undefined) assert.ok(contents.has(`contents of ${below.split("+")[0]}`));
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
