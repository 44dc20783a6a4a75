import assert from "node:assert/strict";
import { test } from "node:test";
import { onceForEach } from "./once-for-each.ts";

test("equal keys share one computation, whatever the order of their members; a failed one is tried again", async () => {
  const asked: unknown[] = [];
  const compute = onceForEach(async (key: { readonly a: number; readonly b?: number }) => {
    asked.push(key);
    if (asked.length === 1) throw new Error("the first fails");
    return { sum: key.a + (key.b ?? 0) };
  });
  await assert.rejects(compute({ a: 1, b: 2 }));
  const [one, other, third] = await Promise.all([compute({ a: 1, b: 2 }), compute({ b: 2, a: 1 }), compute({ a: 3 })]);
  assert.equal(one, other);
  assert.deepEqual(third, { sum: 3 });
  assert.equal(asked.length, 3);
});
