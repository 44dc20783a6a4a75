import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { sha256 } from "../../base/hash.ts";
import { type DiskRange, type DiskRecipe, diskRecipe, type Extent } from "../../image/extent.ts";
import { ownBlocks } from "./own-blocks.ts";
import { joined } from "./ranges.ts";
import { objectBytes } from "./rbd-driver.ts";
import {
  decodePlaces,
  encodePlaces,
  missingPlaces,
  plannedBase,
  type SegmentPlaces,
  segmentPlaces,
} from "./shared-base.ts";

const block = 4096;
/** Three objects and a bit: enough that every border is met. */
const blocks = 3 * (objectBytes / block) + 5;
const size = blocks * block;
const identify = (segment: string): string => sha256(segment);

/** Disks with runs of segments and literal bytes, some ragged, near the borders of objects where they meet. */
const recipes: fc.Arbitrary<DiskRecipe> = fc
  .array(
    fc.record({
      at: fc.oneof(fc.nat(blocks - 1), fc.integer({ min: 1020, max: 1030 })),
      blocks: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.constant(1500)),
      source: fc.oneof(
        fc.record({ segment: fc.constantFrom("a", "b", "c"), offset: fc.nat(3) }),
        fc.record({ fill: fc.integer({ min: 1, max: 3 }), ragged: fc.nat(600) }),
      ),
    }),
    { maxLength: 8 },
  )
  .chain((runs) => fc.tuple(fc.constant(runs), fc.boolean()))
  .map(([runs, hasFree]) => {
    const extents: Extent[] = [];
    let end = 0;
    for (const run of [...runs].sort((a, b) => a.at - b.at)) {
      const start = Math.max(run.at * block, Math.ceil(end / block) * block);
      const length = Math.min(run.blocks * block, size - start);
      if (length <= 0) break;
      // A segment lies where its identity says, mostly.
      if ("segment" in run.source) {
        const offset = (run.source.offset * 2048 + run.at) * block;
        extents.push({ start, length, source: { kind: "segment", segment: run.source.segment, offset } });
      } else {
        const skip = run.source.ragged;
        const bytes = Buffer.alloc(length - skip, run.source.fill);
        extents.push({ start: start + skip, length: bytes.length, source: { kind: "bytes", bytes } });
      }
      end = start + length;
    }
    return diskRecipe(size, extents, hasFree ? [{ start: objectBytes, length: objectBytes }] : undefined);
  });

describe("a shared base", () => {
  it("and an image's own blocks make every image what its recipe says, whatever was published before", () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(recipes, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 3 }),
        (batches) => {
          let held: SegmentPlaces = new Map();
          let head = new Array<string>(blocks).fill("");
          for (const batch of batches) {
            const places = batch.map((recipe) => segmentPlaces(recipe, identify));
            const planned = plannedBase(held, places);
            head = [...head];
            for (const [content, ranges] of missingPlaces(planned, held))
              fill(head, ranges, (at) => named(content, at));
            held = decodePlaces(encodePlaces(planned))!;
            assertSame(head, contentsOf(held), []);
            for (const [i, recipe] of batch.entries()) {
              const own = ownBlocks(recipe, places[i]!, held);
              const wanted = contentsOfDisk(recipe);
              const image = [...head];
              fill(image, own.zeros, () => "");
              for (const range of [...own.fresh, ...own.writes]) {
                assert.equal(
                  Math.floor(range.start / objectBytes),
                  Math.floor((range.start + range.length - 1) / objectBytes),
                );
                fill(image, [range], (at) => wanted[at]!);
              }
              assertSame(image, wanted, recipe.free ?? []);
              for (const { start } of own.fresh) {
                const object = Math.floor(start / objectBytes) * (objectBytes / block);
                assert.ok(head.slice(object, object + objectBytes / block).every((content) => content === ""));
              }
            }
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it("holds what several want once, and writes nothing of it a second time", () => {
    const extent = { start: block, length: 10 * block, source: { kind: "segment", segment: "a", offset: 0 } } as const;
    const places = segmentPlaces(diskRecipe(size, [extent]), identify);
    const planned = plannedBase(new Map(), [places, places]);
    assert.equal(missingPlaces(planned, planned).size, 0);
    assert.deepEqual([...planned.values()], [[{ start: block, length: 10 * block }]]);
    assert.deepEqual(ownBlocks(diskRecipe(size, [extent]), places, planned), { writes: [], fresh: [], zeros: [] });
  });

  it("gives a place to what more disks want, and a tie to what is there", () => {
    const wish = (segment: string) =>
      segmentPlaces(
        diskRecipe(size, [{ start: 0, length: block, source: { kind: "segment", segment, offset: 0 } }]),
        identify,
      );
    const [a, b] = [wish("a"), wish("b")];
    const holder = (places: SegmentPlaces): string[] => [...places.keys()];
    assert.deepEqual(holder(plannedBase(a, [b])), holder(b));
    for (const held of [a, b]) assert.deepEqual(holder(plannedBase(held, [a, b])), holder(held));
    assert.deepEqual(holder(plannedBase(b, [a, b, a])), holder(a));
  });

  it("stays as it is when it holds all that is wanted", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(30), fc.integer({ min: 1, max: 4 }), fc.constantFrom("a", "b", "c"))),
        (drawn) => {
          const wishes = drawn.map(
            ([at, blocks, content]) =>
              new Map([[`${sha256(content)} 0`, [{ start: at * block, length: blocks * block }]]]) as SegmentPlaces,
          );
          const held = plannedBase(new Map(), wishes);
          const some = wishes.filter((one) => missingPlaces(one, held).size === 0);
          assert.deepEqual(encodePlaces(plannedBase(held, some)), encodePlaces(held));
        },
      ),
    );
  });

  it("leaves small pieces among metadata to each disk", () => {
    const piece = (start: number, blocks: number) =>
      ({ start, length: blocks * block, source: { kind: "segment", segment: "a", offset: 0 } }) as const;
    const [among, large, inFree] = [piece(0, 15), piece(64 * block, 16), piece(objectBytes, 1)];
    const free = [{ start: objectBytes, length: objectBytes }];
    const shared = (...given: Parameters<typeof diskRecipe>) =>
      joined([...segmentPlaces(diskRecipe(...given), identify).values()].flat()).map(({ start }) => start);
    assert.deepEqual(shared(size, [among, large, inFree], free), [large.start, inFree.start]);
    assert.deepEqual(shared(size, [among, large, inFree]), [among.start, large.start, inFree.start]);
  });

  it("does not take anything else for its table", () => {
    const table = encodePlaces(new Map([[`${sha256("a")} -4096`, [{ start: 0, length: block }]]]));
    assert.deepEqual([...decodePlaces(table)!], [[`${sha256("a")} -4096`, [{ start: 0, length: block }]]]);
    const wrong = [
      Buffer.alloc(0),
      table.subarray(0, -9),
      gzipSync("{}"),
      gzipSync("nonsense"),
      gzipSync(JSON.stringify({ formatVersion: 2, contents: [] })),
      gzipSync(JSON.stringify({ formatVersion: 1, contents: [{ identity: "x", origin: 0, ranges: [] }] })),
      gzipSync(
        JSON.stringify({ formatVersion: 1, contents: [{ identity: sha256("a"), origin: 0.5, ranges: [0, -1] }] }),
      ),
      gzipSync(Buffer.alloc(65 << 20)),
    ];
    for (const bytes of wrong) assert.equal(decodePlaces(bytes), undefined);
  });
});

/** What each block holds, in words; "" is zeros. */
type Contents = string[];

function fill(contents: Contents, ranges: readonly DiskRange[], what: (at: number) => string): void {
  for (const { start, length } of ranges) {
    for (let at = Math.floor(start / block); at * block < start + length; at++) contents[at] = what(at);
  }
}

function named(content: string, at: number): string {
  const [identity, origin] = content.split(" ");
  return `${identity} ${at * block - Number(origin)}`;
}

function contentsOf(places: SegmentPlaces): Contents {
  const contents = new Array<string>(blocks).fill("");
  for (const [content, ranges] of places) fill(contents, ranges, (at) => named(content, at));
  return contents;
}

function contentsOfDisk({ extents }: DiskRecipe): Contents {
  const contents = new Array<string>(blocks).fill("");
  for (const { start, length, source } of extents) {
    const what = (at: number): string =>
      source.kind === "segment"
        ? `${identify(source.segment)} ${source.offset + at * block - start}`
        : `bytes ${source.bytes[0]} from ${start % block}`;
    fill(contents, [{ start, length }], what);
  }
  return contents;
}

function assertSame(found: Contents, wanted: Contents, free: readonly DiskRange[]): void {
  for (let at = 0; at < blocks; at++) {
    const isFree = free.some(({ start, length }) => at * block >= start && at * block < start + length);
    if (isFree && wanted[at] === "") continue;
    if (found[at] !== wanted[at]) assert.fail(`block ${at} holds "${found[at]}" instead of "${wanted[at]}"`);
  }
}
