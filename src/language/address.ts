import { isIP } from "node:net";

/** An IPv4 or IPv6 network: the number of its first address, and how many leading bits all addresses share. */
export interface AddressRange {
  readonly family: 4 | 6;
  readonly first: bigint;
  readonly prefix: number;
}

/** The network of `10.141.0.0/16`; undefined for anything else, and for one whose host part is not zero. */
export function parseNetwork(text: string): AddressRange | undefined {
  if (!isAddressWithPrefix(text)) return undefined;
  const [address, prefixText] = text.split("/") as [string, string];
  const family = isIP(address);
  const bits = family === 4 ? 32 : 128;
  const prefix = Number(prefixText);
  const first = addressNumber(address);
  const isWhole = (first & ((1n << BigInt(bits - prefix)) - 1n)) === 0n;
  return isWhole ? { family: family as 4 | 6, first, prefix } : undefined;
}

/** Whether a text is an address with the prefix of its network, `10.50.103.201/16`: a host of it, or the network itself. */
export function isAddressWithPrefix(text: string): boolean {
  const [address = "", prefix = "", ...rest] = text.split("/");
  const family = isIP(address);
  return rest.length === 0 && family !== 0 && /^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128);
}

/** Whether an address lies in a network. */
export function isInside(address: string, { family, first, prefix }: AddressRange): boolean {
  if (isIP(address) !== family) return false;
  const shift = BigInt((family === 4 ? 32 : 128) - prefix);
  return addressNumber(address) >> shift === first >> shift;
}

/** An address as a number. `text` is one that `isIP` knows. */
export function addressNumber(text: string): bigint {
  if (isIP(text) === 4) return text.split(".").reduce((sum, part) => sum * 256n + BigInt(part), 0n);
  const [head = "", tail] = withoutEmbeddedIpv4(text).split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  return [...left, ...Array<string>(zeros).fill("0"), ...right].reduce(
    (sum, part) => sum * 65536n + BigInt(`0x${part}`),
    0n,
  );
}

/** The name under which an address is asked for its host: RFC 1035 section 3.5, RFC 3596 section 2.5. */
export function reverseName(address: string): string {
  if (isIP(address) === 4) return `${address.split(".").reverse().join(".")}.in-addr.arpa`;
  const digits = addressNumber(address).toString(16).padStart(32, "0");
  return `${[...digits].reverse().join(".")}.ip6.arpa`;
}

function withoutEmbeddedIpv4(text: string): string {
  const match = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  if (!match) return text;
  const [a, b, c, d] = match.slice(2).map(Number) as [number, number, number, number];
  return `${match[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}
