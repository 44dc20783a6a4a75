import assert from "node:assert/strict";
import { test } from "node:test";
import { sparseBlocks } from "./sparse-blocks.ts";

test("touched blocks come back sorted, neighbours merged, everything else zero", () => {
  const blocks = sparseBlocks();
  blocks.put(5 * 4096 - 2, Buffer.from("abcd"));
  blocks.view(4096, 1)[0] = 1;
  blocks.view(2 ** 40, 4).write("far!");
  const extents = blocks.extents();
  assert.deepEqual(
    extents.map(({ start, length }) => [start, length]),
    [
      [4096, 4096],
      [4 * 4096, 2 * 4096],
      [2 ** 40, 4096],
    ],
  );
  const middle = extents[1]!.source;
  assert.ok(middle.kind === "bytes");
  assert.equal(Buffer.from(middle.bytes).toString("latin1").replaceAll("\0", ""), "abcd");
  assert.equal(Buffer.from(middle.bytes).indexOf("abcd"), 4094);
});

test("a view that crosses a block is a mistake of ours", () => {
  assert.throws(() => sparseBlocks().view(4090, 10), /cross a block boundary/);
});
