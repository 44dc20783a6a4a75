import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MesoError } from "../base/error.ts";
import { fieldOf, maximumFields, parseControl } from "./control.ts";

test("paragraphs, continuation lines, order and line numbers", () => {
  const text = "\n\nPackage: a\nDescription: short\n long\n .\n  more\nEmpty:\n\n \t\nPackage:b  \r\nX-Y:  c:d\n";
  const paragraphs = parseControl(text);
  assert.deepEqual(
    paragraphs.map(({ line, fields }) => ({ line, fields: [...fields] })),
    [
      {
        line: 3,
        fields: [
          ["Package", "a"],
          ["Description", "short\n long\n .\n  more"],
          ["Empty", ""],
        ],
      },
      {
        line: 11,
        fields: [
          ["Package", "b"],
          ["X-Y", "c:d"],
        ],
      },
    ],
  );
  assert.equal(fieldOf(paragraphs[1]!, "x-y"), "c:d");
  assert.equal(fieldOf(paragraphs[1]!, "absent"), undefined);
});

test("a field writes back as it was read", () => {
  const text = "Package: a\nConffiles:\n /etc/a 00\n /etc/b 11\nDescription: short\n long\n";
  const [paragraph] = parseControl(text);
  assert.equal(
    [...paragraph!.fields]
      .map(([name, value]) => `${name}: ${value}\n`)
      .join("")
      .replace(": \n", ":\n"),
    text,
  );
});

test("mistakes are told with source and line", () => {
  const cases: [string, number][] = [
    ["Package: a\nno field\n", 2],
    ["Package: a\n\n continued\n", 3],
    [" continued\n", 1],
    ["A: 1\nB: 2\na: 3\n", 3],
    [": x\n", 1],
    ["A b: x\n", 1],
    ["-A: x\n", 1],
    ["# comment\nA: 1\n", 1],
    ["A: 1\nÄ: 2\n", 2],
  ];
  for (const [text, line] of cases) {
    assert.throws(
      () => parseControl(text, { source: "some file" }),
      (error) => error instanceof MesoError && error.message.startsWith(`some file, line ${line}:`),
      JSON.stringify(text),
    );
  }
  assert.equal(parseControl("# comment\nA: 1\n# more\n b\n", { comments: true })[0]!.fields.get("A"), "1\n b");
});

test("hostile text ends in an error or in a value, in linear time", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(..."Ab:# \n\t\r-\u0000é"), maxLength: 60 }), (text) => {
      try {
        for (const { fields } of parseControl(text)) assert.ok(fields.size > 0);
      } catch (error) {
        assert.ok(error instanceof MesoError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
  const many = Array.from({ length: maximumFields + 1 }, (_, i) => `F${i}: x\n`).join("");
  assert.throws(() => parseControl(many), { code: "bad-control" });
  const started = performance.now();
  assert.throws(() => parseControl(`A: ${" x\n ".repeat(1)}${"y".repeat(65 * 2 ** 20)}`), { code: "bad-control" });
  assert.equal(parseControl(`A: 1\n${" x\n".repeat(500_000)}`).length, 1);
  assert.equal(parseControl("\n".repeat(1e6)).length, 0);
  assert.ok(performance.now() - started < 5000);
});
