import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { nearestHint, nearestNames } from "./nearest.ts";

test("proposes what was probably meant, best first", () => {
  assert.deepEqual(nearestNames("chorny", ["chrony", "chromium", "ntp"]), ["chrony"]);
  assert.deepEqual(nearestNames("HostName", ["hostName", "hostname2"]), ["hostName", "hostname2"]);
  assert.deepEqual(nearestNames("vin", ["bin", "vim", "tin"]), ["vim", "bin", "tin"]);
  assert.deepEqual(nearestNames("x", ["completely", "different"]), []);
  assert.deepEqual(nearestHint("chorny", ["chrony"]), { hint: "did you mean chrony?" });
  assert.deepEqual(nearestHint("nothing", ["like"]), {});
});

test("finds a name within its reach exactly when the whole table of distances says so", () => {
  const word = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 9 });
  fc.assert(
    fc.property(word, word, (name, candidate) => {
      const isNear = distance(name, candidate) <= Math.max(1, Math.floor(name.length / 3));
      assert.deepEqual(nearestNames(name, [candidate]), isNear ? [candidate] : []);
    }),
    { numRuns: 2000 },
  );
});

/** Optimal string alignment by its definition, without shortcuts. */
function distance(a: string, b: string): number {
  const known = new Map<string, number>();
  const from = (i: number, j: number): number => {
    if (i === 0 || j === 0) return i + j;
    const key = `${i} ${j}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    const options = [from(i - 1, j) + 1, from(i, j - 1) + 1, from(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)];
    if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) options.push(from(i - 2, j - 2) + 1);
    known.set(key, Math.min(...options));
    return known.get(key)!;
  };
  return from(a.length, b.length);
}
