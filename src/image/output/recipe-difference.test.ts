import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import fc from "fast-check";
import { type DiskRecipe, diskRecipe, type Extent } from "../extent.ts";
import { recipeDifference } from "./recipe-difference.ts";
import { updateRaw } from "./update-raw.ts";
import { writeRaw } from "./write-raw.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-difference-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const size = 256 * 1024;
const segments = ["a", "b"];
for (const [index, name] of segments.entries()) {
  writeFileSync(
    join(folder, name),
    Buffer.alloc(size, index + 1).map((byte, at) => byte + (at >> 10)),
  );
}
const files = { segmentDataPath: (segment: string) => join(folder, segment) };
const identify = (segment: string): string => segment;

/** Recipes of a disk of 64 blocks: runs of one or more blocks from segments or literal bytes, with holes between. */
const recipes: fc.Arbitrary<DiskRecipe> = fc
  .array(
    fc.record({
      skip: fc.integer({ min: 0, max: 6 }),
      blocks: fc.integer({ min: 1, max: 6 }),
      source: fc.oneof(
        fc.record({ segment: fc.constantFrom(...segments), block: fc.integer({ min: 0, max: 40 }) }),
        fc.record({ fill: fc.integer({ min: 0, max: 3 }) }),
      ),
    }),
    { maxLength: 12 },
  )
  .map((runs) => {
    const extents: Extent[] = [];
    let block = 0;
    for (const { skip, blocks, source } of runs) {
      block += skip;
      if (block + blocks > 64) break;
      const [start, length] = [block * 4096, blocks * 4096];
      const content =
        "segment" in source
          ? ({ kind: "segment", segment: source.segment, offset: source.block * 4096 } as const)
          : ({ kind: "bytes", bytes: Buffer.alloc(length, source.fill) } as const);
      extents.push({ start, length, source: content });
      block += blocks;
    }
    return diskRecipe(size, extents);
  });

describe("the difference of two recipes", () => {
  it("is all that must be written to turn one disk into the other", () => {
    fc.assert(
      fc.property(recipes, recipes, (before, fresh) => {
        const [patched, whole] = [join(folder, "patched"), join(folder, "whole")];
        writeRaw(before, patched, files);
        updateRaw(before, fresh, patched, files, identify);
        writeRaw(fresh, whole, files);
        assert.deepEqual(readFileSync(patched), readFileSync(whole));
      }),
      { numRuns: 150 },
    );
  });

  it("is nothing between equal recipes, and one block when one byte of literal bytes changes", () => {
    const bytes = Buffer.alloc(40 * 4096, 7);
    const other = Buffer.from(bytes);
    other[17 * 4096 + 5] = 8;
    const recipe = (content: Buffer) =>
      diskRecipe(size, [{ start: 4096, length: content.length, source: { kind: "bytes", bytes: content } }]);
    assert.deepEqual(recipeDifference(recipe(bytes), recipe(Buffer.from(bytes)), identify), []);
    assert.deepEqual(recipeDifference(recipe(bytes), recipe(other), identify), [{ start: 18 * 4096, length: 4096 }]);
  });
});
