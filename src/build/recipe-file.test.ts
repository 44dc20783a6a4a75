import assert from "node:assert/strict";
import { test } from "node:test";
import { diskRecipe } from "../image/extent.ts";
import { decodeImage, encodeImage, packRecipe } from "./recipe-file.ts";

const image = {
  recipe: diskRecipe(1 << 20, [
    { start: 0, length: 5, source: { kind: "bytes", bytes: Buffer.from("first") } },
    { start: 4096, length: 8192, source: { kind: "segment", segment: "a".repeat(64), offset: 4096 } },
    { start: 65536, length: 70_000, source: { kind: "bytes", bytes: Buffer.alloc(70_000, "second") } },
    { start: 1 << 19, length: 4096, source: { kind: "segment", segment: "b".repeat(64), offset: 0 } },
  ]),
  imageHash: "c".repeat(64),
  files: 7,
  dataBytes: 82_293,
};

const encoded = Buffer.from(encodeImage(image, await packRecipe(image.recipe)));

test("an image comes back from its file as it was", () => {
  assert.deepEqual(decodeImage(encoded), image);
});

test("a file that is not whole, or has a bit of another value, is none", () => {
  const file = encoded;
  for (let length = 0; length < file.length; length++) assert.equal(decodeImage(file.subarray(0, length)), undefined);
  for (let at = 0; at < file.length; at++) {
    const spoiled = Buffer.from(file);
    spoiled[at]! ^= 0x10;
    // zstd's frame header has bits that mean nothing: then all is as it was.
    const decoded = decodeImage(spoiled);
    if (decoded !== undefined) assert.deepEqual(decoded, image, `byte ${at}`);
  }
  assert.equal(decodeImage(Buffer.from("no recipe at all")), undefined);
});
