import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { treeOf } from "./example-tree.testing.ts";
import { debugfs, recipeOf, withImage } from "./image-file.testing.ts";
import { nameHash } from "./name-hash.ts";

describe("the hash of names", () => {
  it("agrees with debugfs on names of every length and on bytes above 127", () => {
    const uuid = "01234567-89ab-cdef-0011-2233445566ff";
    const words = [0x67452301, 0xefcdab89, 0x33221100, 0xff665544];
    const names = [1, 2, 3, 4, 5, 7, 8, 31, 32, 33, 63, 64, 65, 100, 255].map((n) =>
      "name-of-file.".repeat(20).slice(0, n),
    );
    names.push("élan", "ÿ".repeat(40), "日本語", "😀".repeat(20));
    withImage(recipeOf(treeOf([])), new Map(), (image) => {
      // 4 is the number of half MD4 over unsigned bytes; its name is not understood.
      for (const name of names) {
        const answer = debugfs(image, `dx_hash -h 4 -s ${uuid} "${name}"`);
        const expected = /is (0x[0-9a-f]+)/.exec(answer)?.[1];
        assert.equal(`0x${nameHash(name, Buffer.byteLength(name), words).toString(16)}`, expected, name);
      }
    });
  });
});
