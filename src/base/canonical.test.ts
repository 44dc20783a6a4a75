import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { canonicalJson } from "./canonical.ts";

describe("canonicalJson", () => {
  it("spells a value one way, whatever the order of its keys", () => {
    assert.equal(canonicalJson({ b: [1, null], a: { d: "é", c: true } }), '{"a":{"c":true,"d":"é"},"b":[1,null]}');
    assert.equal(canonicalJson({ a: 1, b: 2 }), canonicalJson({ b: 2, a: 1 }));
  });

  it("leaves undefined members out, as an absent optional field", () => {
    assert.equal(canonicalJson({ a: undefined, b: 1 }), canonicalJson({ b: 1 }));
  });

  it("sorts keys by UTF-8 bytes, not by UTF-16 units", () => {
    assert.equal(canonicalJson({ "\u{1F600}": 1, "\uFFFD": 2 }), '{"\uFFFD":2,"\u{1F600}":1}');
  });

  it("refuses what JSON cannot hold faithfully", () => {
    for (const value of [() => 1, Number.NaN, Number.POSITIVE_INFINITY, new Map(), 1n, Symbol("x"), undefined]) {
      assert.throws(() => canonicalJson({ value: [value] }), TypeError);
    }
  });
});
