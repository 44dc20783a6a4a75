import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { place } from "./placement.ts";

const placeables = fc.uniqueArray(fc.record({ key: fc.string(), units: fc.integer({ min: 1, max: 40 }) }), {
  selector: (item) => item.key,
  maxLength: 20,
});

describe("place", () => {
  it("gives disjoint places inside the region, whatever the order of the items", () => {
    fc.assert(
      fc.property(placeables, fc.integer({ min: 1000, max: 5000 }), (items, length) => {
        const places = place(items, { start: 100, length });
        assert.deepEqual(places, new Map([...place(items.toReversed(), { start: 100, length })].reverse()));
        const runs = items.map(({ key, units }) => [places.get(key)!, places.get(key)! + units] as const);
        runs.sort((a, b) => a[0] - b[0]);
        runs.reduce((end, [start, next]) => {
          assert.ok(start >= end);
          return next;
        }, 100);
        assert.ok((runs.at(-1)?.[1] ?? 0) <= 100 + length);
      }),
    );
  });

  it("leaves the others where they are when one is added in a wide region", () => {
    const items = Array.from({ length: 150 }, (_, i) => ({ key: `package-${i}`, units: 500 }));
    const region = { start: 0, length: 8_000_000 };
    const before = place(items, region);
    const after = place([...items, { key: "one-more", units: 5 }], region);
    for (const { key } of items) assert.equal(after.get(key), before.get(key));
  });

  it("fills a region to the brim, then says that there is no room", () => {
    const full = Array.from({ length: 10 }, (_, i) => ({ key: `${i}`, units: 10 }));
    assert.equal(place(full, { start: 0, length: 100 }).size, 10);
    assert.throws(() => place([...full, { key: "more", units: 1 }], { start: 0, length: 100 }), { code: "no-room" });
  });
});
