import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MesoError } from "../base/error.ts";
import { formatRelationGroup, parseRelations } from "./relation.ts";

test("alternatives, versions, qualifiers and restrictions", () => {
  assert.deepEqual(parseRelations("libc6 (>= 2.36), python3:any, a | b(<<1:2~rc1-1)|c:amd64 (= 3),\n d"), [
    [{ name: "libc6", constraint: { operator: ">=", version: "2.36" } }],
    [{ name: "python3", qualifier: "any" }],
    [
      { name: "a" },
      { name: "b", constraint: { operator: "<<", version: "1:2~rc1-1" } },
      { name: "c", qualifier: "amd64", constraint: { operator: "=", version: "3" } },
    ],
    [{ name: "d" }],
  ]);
  assert.deepEqual(parseRelations("gcc-14:native ( >= 14 ) [linux-any !hurd-any] <!nocheck> <cross !x>"), [
    [
      {
        name: "gcc-14",
        qualifier: "native",
        constraint: { operator: ">=", version: "14" },
        architectures: ["linux-any", "!hurd-any"],
        profiles: [["!nocheck"], ["cross", "!x"]],
      },
    ],
  ]);
});

test("the obsolete operators, a trailing comma and empty text", () => {
  assert.deepEqual(parseRelations("a (< 1), b (> 2), "), [
    [{ name: "a", constraint: { operator: "<=", version: "1" } }],
    [{ name: "b", constraint: { operator: ">=", version: "2" } }],
  ]);
  assert.deepEqual(parseRelations(""), []);
  assert.deepEqual(parseRelations(" \n "), []);
});

test("what is no relation is refused, with the place", () => {
  for (const text of [
    ",",
    "a,,b",
    "a |",
    "| a",
    "a b",
    "a (1)",
    "a (>= )",
    "a (>= 1",
    "a (=> 1)",
    "(>= 1)",
    "a [x",
    "a:",
    "a <x",
    "é",
  ]) {
    assert.throws(() => parseRelations(text), { code: "bad-relation" }, JSON.stringify(text));
  }
  assert.throws(() => parseRelations("good, also-good, b@d"), /at character 18/);
});

test("hostile text: random, long and deep, in linear time", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(..."ab(),|:<>=[]~1 \n\t-é"), maxLength: 60 }), (text) => {
      try {
        const groups = parseRelations(text);
        const again = parseRelations(groups.map(formatRelationGroup).join(", "));
        assert.equal(again.length, groups.length);
      } catch (error) {
        assert.ok(error instanceof MesoError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
  const started = performance.now();
  for (const text of [
    "a".repeat(1e6),
    " ".repeat(1e6),
    `a (>= ${"1".repeat(1e6)}`,
    `a${" ".repeat(1e6)}!`,
    `a ${"<x> ".repeat(2e5)}!`,
    "(".repeat(1e6),
    "a,".repeat(1e6),
  ]) {
    try {
      parseRelations(text);
    } catch (error) {
      assert.ok(error instanceof MesoError);
      assert.ok(error.message.length < 1000, "the message stays short");
    }
  }
  assert.ok(performance.now() - started < 5000);
});
