import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { diffStream } from "./diff-stream.ts";
import { parseEntries } from "./rbd-commands.ts";

describe("what rados prints of an object's entries", () => {
  const listing = [
    "key-2",
    "value (0 bytes) :",
    "",
    "key-1",
    "value (90 bytes) :",
    "00000000  61 61 61 61 61 61 61 61  61 61 61 61 61 61 61 61  |aaaaaaaaaaaaaaaa|",
    "*",
    "00000050  61 61 61 61 61 61 61 0a  7c 00                    |aaaaaaa.|.|",
    "0000005a",
    "",
    "",
  ].join("\n");

  it("is read back, repeated rows, empty values and any byte", () => {
    const entries = parseEntries(listing);
    assert.deepEqual([...entries.keys()], ["key-1", "key-2"]);
    assert.equal(entries.get("key-2")!.length, 0);
    const value = entries.get("key-1")!;
    assert.equal(value.toString("latin1"), `${"a".repeat(87)}\n|\0`);
    assert.equal(parseEntries("").size, 0);
  });

  it("is refused when it is something else, wherever it is cut", () => {
    for (let length = 1; length < listing.length - 12; length++) {
      try {
        for (const value of parseEntries(listing.slice(0, length)).values())
          assert.ok(value.length === 0 || value.length === 90);
      } catch (error) {
        assert.equal((error as { code?: string }).code, "pool-unreachable");
      }
    }
    for (const line of ["value (99999999999999999999 bytes) :", "value (-1 bytes) :", "x"]) {
      assert.throws(() => parseEntries(`key\n${line}\n\n`), { code: "pool-unreachable" });
    }
    assert.throws(() => parseEntries(listing.replace("00000050", "ffffffff")), { code: "pool-unreachable" });
    assert.throws(() => parseEntries("k\nvalue (16 bytes) :\n*\n00000010\n\n"), { code: "pool-unreachable" });
  });
});

describe("a change as rbd import-diff reads it", () => {
  it("names snapshots and size first, then zeros, then data in order, then its end", () => {
    const stream = Buffer.concat([
      ...diffStream({
        size: 8192,
        since: "a",
        snapshot: "bc",
        zeros: [{ start: 4096, length: 1 }],
        writes: [{ start: 8190, length: 2 }],
        fresh: [{ start: 1, length: 1 }],
        read: ({ start, length }) => Buffer.alloc(length, start % 256),
      }),
    ]);
    const number = (value: number) => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(BigInt(value));
      return bytes;
    };
    const expected = Buffer.concat([
      Buffer.from("rbd diff v1\nf\x01\0\0\0at\x02\0\0\0bcs"),
      number(8192),
      Buffer.from("z"),
      number(4096),
      number(1),
      Buffer.from("w"),
      number(1),
      number(1),
      Buffer.from([1]),
      Buffer.from("w"),
      number(8190),
      number(2),
      Buffer.from([254, 254]),
      Buffer.from("e"),
    ]);
    assert.deepEqual(stream, expected);
  });
});
