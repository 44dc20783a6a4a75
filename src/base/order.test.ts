import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { compareBytes } from "./order.ts";

it("compareBytes agrees with a comparison of the encoded bytes", () => {
  const text = fc.string({ unit: "binary", maxLength: 6 });
  fc.assert(
    fc.property(text, text, (a, b) => {
      assert.equal(Math.sign(compareBytes(a, b)), Buffer.compare(Buffer.from(a), Buffer.from(b)));
    }),
    { numRuns: 2000 },
  );
});
