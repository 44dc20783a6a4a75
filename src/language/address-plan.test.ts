import assert from "node:assert/strict";
import { isIP } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { MesoError } from "../base/error.ts";
import { addressNumber } from "./address.ts";
import { addressIn, addressText } from "./address-plan.ts";
import { network } from "./network.ts";

test("a machine has its number in whatever range its network has", () => {
  const cluster = (range: string) => network({ name: "cluster", range });
  assert.equal(addressIn(cluster("10.50.0.0/16"), "103.201"), "10.50.103.201");
  assert.equal(addressIn(cluster("10.150.0.0/16"), "103.201"), "10.150.103.201");
  assert.equal(addressIn(cluster("192.0.2.128/25"), 3), "192.0.2.131");
  assert.equal(addressIn(cluster("192.0.2.4/31"), 1), "192.0.2.5", "two machines and nothing else (RFC 3021)");
  const both = network({ name: "both", range: "10.50.0.0/16", range6: "2001:db8:50::/64" });
  assert.deepEqual(addressIn(both, "103.201"), { v4: "10.50.103.201", v6: "2001:db8:50::67c9" });
});

test("no machine is the network, everybody in it, or outside", () => {
  const small = network({ name: "small", range: "192.0.2.0/24" });
  for (const place of [0, 255, 256, -1, 1.5, "1.2", "x", "", "1.2.3.4.5", "999"]) {
    assert.throws(
      () => addressIn(small, place),
      (error: unknown) => {
        assert.ok(error instanceof MesoError, String(place));
        assert.equal(error.code, "wrong-address");
        assert.ok(error.problems[0]?.where?.file.endsWith("address-plan.test.ts"));
        return true;
      },
    );
  }
});

test("numbers and addresses stand for each other, in the form that Node writes too", () => {
  const canonical = (text: string) => new URL(`http://[${text}]/`).hostname.slice(1, -1);
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), { minLength: 8, maxLength: 8 }),
      (groups) => {
        const number = groups.reduce((sum, group) => sum * 65536n + BigInt(group), 0n);
        const text = addressText(6, number);
        assert.equal(isIP(text), 6, text);
        assert.equal(addressNumber(text), number);
        assert.equal(text, canonical(text));
      },
    ),
  );
  assert.equal(addressText(4, 0x0a326bc9n), "10.50.107.201");
});
