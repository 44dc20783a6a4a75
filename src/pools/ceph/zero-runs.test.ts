import assert from "node:assert/strict";
import { randomBytes, randomInt } from "node:crypto";
import { test } from "node:test";
import { objectBytes } from "./rbd-driver.ts";
import { withoutZeroRuns } from "./zero-runs.ts";

const disk = Buffer.alloc(2 * objectBytes);
const read = ({ start, length }: { start: number; length: number }) => disk.subarray(start, start + length);

test("long runs of zeros are left out, short ones stay; an empty block is nothing", () => {
  disk.fill(0);
  disk.fill(1, 0, 100);
  disk.fill(1, 4096 + 3584, 8192);
  disk.fill(1, 8192, 8192 + 512);
  disk.fill(1, 8192 + 2048, 8192 + 2560);
  assert.deepEqual(withoutZeroRuns([{ start: 0, length: 16_384 }], read), [
    { start: 0, length: 512 },
    { start: 4096 + 3584, length: 512 + 2560 },
  ]);
  assert.deepEqual(withoutZeroRuns([{ start: 16_384, length: 4096 }], read), []);
  disk.fill(1, objectBytes - 4096, objectBytes + 4096);
  const across = [
    { start: objectBytes - 4096, length: 4096 },
    { start: objectBytes, length: 4096 },
  ];
  assert.deepEqual(withoutZeroRuns(across, read), across, "objects stay apart");
});

test("what is left out is zeros, and nothing else is touched", () => {
  for (let round = 0; round < 50; round++) {
    disk.fill(0);
    for (let i = 0; i < 30; i++) {
      const at = randomInt(disk.length - 5000);
      disk.set(randomBytes(randomInt(1, 5000)), at);
    }
    const ranges = [
      { start: 4096 * randomInt(10), length: 4096 * randomInt(1, 500) },
      { start: objectBytes, length: 4096 * randomInt(1, 500) },
    ];
    const kept = withoutZeroRuns(ranges, read);
    const made = Buffer.alloc(disk.length);
    for (const range of kept) made.set(read(range), range.start);
    for (const { start, length } of ranges)
      assert.ok(made.subarray(start, start + length).equals(read({ start, length })));
    assert.ok(kept.every(({ start, length }) => start % 512 === 0 && length % 512 === 0 && length > 0));
  }
});
