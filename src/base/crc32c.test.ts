import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { crc32c, crc32cOfNumber, crc32cOfZeros, initialCrc } from "./crc32c.ts";

describe("CRC-32C", () => {
  it("has the check values of RFC 3720, appendix B.4", () => {
    const full = (bytes: Uint8Array) => (crc32c(initialCrc, bytes) ^ 0xffffffff) >>> 0;
    assert.equal(full(Buffer.from("123456789")), 0xe3069283);
    assert.equal(full(Buffer.alloc(32)), 0x8a9136aa);
    assert.equal(full(Buffer.alloc(32, 0xff)), 0x62a8ab43);
    assert.equal(full(Buffer.from(Array.from({ length: 32 }, (_, i) => i))), 0x46dd794e);
  });

  it("goes on from where it stopped, at any cut", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), (bytes, cut) => {
        const first = crc32c(initialCrc, bytes, 0, Math.min(cut, bytes.length));
        assert.equal(crc32c(first, bytes, Math.min(cut, bytes.length)), crc32c(initialCrc, bytes));
      }),
    );
  });

  it("takes numbers and runs of zeros as their bytes", () => {
    fc.assert(
      fc.property(fc.nat(0xffffffff), fc.nat(0xffffffff), fc.nat(8191), (seed, number, zeros) => {
        const bytes = Buffer.alloc(4);
        bytes.writeUInt32LE(number);
        assert.equal(crc32cOfNumber(seed, number), crc32c(seed, bytes));
        assert.equal(crc32cOfZeros(seed, zeros), crc32c(seed, Buffer.alloc(zeros)));
      }),
    );
  });
});
