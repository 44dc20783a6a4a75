import assert from "node:assert/strict";
import { test } from "node:test";
import { inflateSync } from "node:zlib";
import { pngFromPpm } from "./qemu-screenshot.ts";

test("a pixmap becomes a PNG with the same pixels", () => {
  const pixels = Buffer.from([255, 0, 0, 0, 255, 0, 0, 0, 255, 1, 2, 3, 10, 32, 35, 9, 8, 7]);
  const png = pngFromPpm(Buffer.concat([Buffer.from("P6\n3 2\n255\n"), pixels]));
  assert.equal(png.toString("latin1", 0, 8), "\x89PNG\r\n\x1a\n");
  assert.deepEqual([png.readUInt32BE(16), png.readUInt32BE(20)], [3, 2]);
  const length = png.readUInt32BE(33);
  const rows = inflateSync(png.subarray(41, 41 + length));
  assert.deepEqual([rows[0], rows[10]], [0, 0]);
  assert.ok(Buffer.concat([rows.subarray(1, 10), rows.subarray(11)]).equals(pixels));
  // The CRC of an empty IEND is in every PNG there is.
  assert.equal(png.subarray(-12).toString("hex"), "0000000049454e44ae426082");
});

test("anything else is refused", () => {
  for (const text of ["", "P6\n", "P5\n1 1\n255\nabc", "P6\n1 1\n65535\nabc", "P6\n2 1\n255\nabc", "P6\n0 0\n255\n"]) {
    assert.throws(() => pngFromPpm(Buffer.from(text)), { code: "task-failed" }, text);
  }
});
