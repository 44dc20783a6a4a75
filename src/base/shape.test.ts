import assert from "node:assert/strict";
import { test } from "node:test";
import { aCount, aText, mismatch, oneOf, type Shape } from "./shape.ts";

const shape: Shape = {
  members: { name: aText, sizes: { list: aCount }, colours: { table: oneOf("red", "blue") } },
  optional: {
    note: aText,
    form: { kinds: { circle: { members: { kind: aText, radius: aCount } }, point: { members: { kind: aText } } } },
  },
};
const right = { name: "a", sizes: [1, 2], colours: { sky: "blue" } };

test("a value of the shape passes, with what may be left out or without", () => {
  assert.equal(mismatch(right, shape), undefined);
  assert.equal(mismatch({ ...right, note: "b" }, shape), undefined);
  assert.equal(mismatch({ ...right, form: { kind: "circle", radius: 1 } }, shape), undefined);
});

const wrong: readonly (readonly [string, unknown, string])[] = [
  ["a missing member", { sizes: [], colours: {} }, "name"],
  ["null for what may be left out", { ...right, note: null }, "note"],
  ["an item of a list", { ...right, sizes: [1, -2] }, "sizes[1]"],
  ["an item that is no number", { ...right, sizes: ["1"] }, "sizes[0]"],
  ["a list's place", { ...right, sizes: { 0: 1 } }, "sizes"],
  ["a member of a table", { ...right, colours: { sea: "green" } }, 'colours["sea"]'],
  ["a list for a table", { ...right, colours: [] }, "colours"],
  ["an unknown kind", { ...right, form: { kind: "toString" } }, "form"],
  ["no kind", { ...right, form: {} }, "form"],
  ["a member of a kind", { ...right, form: { kind: "circle", radius: -1 } }, "form.radius"],
  ["a member of another kind", { ...right, form: { kind: "point", radius: 1 } }, "form"],
  ["an unknown member", { ...right, more: 1 }, ""],
  ["a prototype's member", JSON.parse('{"__proto__": 1, "name": "a", "sizes": [], "colours": {}}'), ""],
  ["a member of every object", { sizes: [], colours: {}, toString: 1 }, ""],
  ["nothing", undefined, ""],
  ["a list", [], ""],
];
for (const [name, value, field] of wrong) {
  test(`the first wrong place is named: ${name}`, () => {
    assert.equal(mismatch(value, shape)?.field, field);
  });
}
