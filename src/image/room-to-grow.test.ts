import assert from "node:assert/strict";
import { test } from "node:test";
import { roomToGrow } from "./room-to-grow.ts";

test("room is at least what is there, at most double, and an eighth more for what is large", () => {
  assert.deepEqual([1, 2, 3, 5, 8, 9, 16, 17, 31].map(roomToGrow), [1, 2, 4, 8, 8, 16, 16, 18, 32]);
  for (let units = 16; units < 5000; units++) {
    const room = roomToGrow(units);
    assert.ok(room >= units && room <= units * 1.125, `${units}: ${room}`);
    assert.equal(roomToGrow(room), room);
  }
});
