import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fromBase32, toBase32 } from "./base32.ts";

/** Vectors that Nix, Guix and go-nix agree on. */
const vectors: readonly [string, string][] = [
  ["", ""],
  ["1f", "0z"],
  [
    "d86b3392c1202e8ff5a423b302e6284db7f8f435ea9f39b5b1b20fd3ac36dfcb",
    "1jyz6snd63xjn6skk7za6psgidsd53k05cr3lksqybi0q6936syq",
  ],
  ["8a12321522fd91efbd60ebb2481af88580f61600", "00bgd045z0d4icpbc2yyz4gx48ak44la"],
];

test("base-32 is written and read as Nix does", () => {
  for (const [hex, text] of vectors) {
    assert.equal(toBase32(Buffer.from(hex, "hex")), text);
    assert.equal(Buffer.from(fromBase32(text)).toString("hex"), hex);
  }
});

test("any bytes come back", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => assert.deepEqual(fromBase32(toBase32(bytes)), bytes)),
  );
});

test("leftover bits and foreign characters are refused", () => {
  for (const text of ["zz", "c0", "0e", "z", "0Z"]) assert.throws(() => fromBase32(text), { code: "bad-base32" }, text);
});
