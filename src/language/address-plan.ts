import { failure } from "../base/error.ts";
import { callerLocation } from "../base/location.ts";
import { parseNetwork } from "./address.ts";
import type { DualAddress } from "./inventory.ts";
import type { Network } from "./network.ts";
import { describe } from "./record.ts";

/**
 * The address that has a number in a network, so that moving the network moves its machines: in `10.50.0.0/16`,
 * `addressIn(cluster, "103.201")` is `10.50.103.201`, as is `addressIn(cluster, 103 * 256 + 201)`. A network that has
 * IPv6 too gives the same number in both.
 *
 * @throws MesoError `wrong-address` when the network has no such address, or it stands for the network or for everybody.
 */
export function addressIn(network: Network, place: number | string): string | DualAddress {
  const where = callerLocation(addressIn);
  const number = typeof place === "number" ? place : dottedNumber(place);
  const range = parseNetwork(network.range);
  const most = range === undefined ? 0 : 2 ** ((range.family === 4 ? 32 : 128) - range.prefix) - 1;
  const isBroadcast = range?.family === 4 && range.prefix < 31 && number === most;
  if (!range || number === undefined || !Number.isSafeInteger(number) || number < 1 || number > most || isBroadcast) {
    throw failure("wrong-address", `${network.range} has no machine ${describe(place)}`, {
      ...(where && { where }),
      expected: `a number from 1 to ${Math.max(1, most - 1)}, or its last bytes: "103.201"`,
    });
  }
  const first = addressText(range.family, range.first + BigInt(number));
  const range6 = network.range6 === undefined ? undefined : parseNetwork(network.range6);
  return range6 && range.family === 4 ? { v4: first, v6: addressText(6, range6.first + BigInt(number)) } : first;
}

/** A number as an address, in the form of RFC 5952. */
export function addressText(family: 4 | 6, number: bigint): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (number >> shift) & 0xffn).join(".");
  const groups = Array.from({ length: 8 }, (_, i) => ((number >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  const zeros = [...groups.join(":").matchAll(/\b0(:0\b)+/g)].sort((a, b) => b[0].length - a[0].length)[0];
  if (!zeros) return groups.join(":");
  const text = groups.join(":");
  const before = text.slice(0, zeros.index).replace(/:$/, "");
  const after = text.slice(zeros.index + zeros[0].length).replace(/^:/, "");
  return `${before}::${after}`;
}

function dottedNumber(text: string): number | undefined {
  if (!/^\d{1,3}(\.\d{1,3}){0,3}$/.test(text)) return undefined;
  const bytes = text.split(".").map(Number);
  return bytes.every((byte) => byte < 256) ? bytes.reduce((sum, byte) => sum * 256 + byte, 0) : undefined;
}
