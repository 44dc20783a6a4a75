import { isIP } from "node:net";
import { addressNumber, parseNetwork, reverseName } from "../language/address.ts";
import { addressText } from "../language/address-plan.ts";
import type { HostEntry, Inventory } from "../language/inventory.ts";

/** A zone as a name server answers for it: made by `hostZone`, `reverseZone`, or written by hand. */
export interface Zone {
  /** Without final dot: `example.org`. */
  readonly name: string;
  /** Lines of RFC 1035's master file format, with the SOA record. */
  readonly records: readonly string[];
}

export interface ZoneAuthority {
  /** Machines that answer for it, the primary one first. */
  readonly nameServers: readonly HostEntry[];
  /** Secondary servers fetch the zone when this has grown. Default 1: for a primary that stands alone. */
  readonly serial?: number;
  /** Seconds that others may keep an answer. */
  readonly ttl?: number;
}

type Hosts = Pick<Inventory<string, string>, "domain" | "hosts">;

/** Names to addresses, of every machine of an inventory, and its aliases. `more` are further lines: MX, SRV, TXT. */
export function hostZone(site: Hosts, authority: ZoneAuthority, more: readonly string[] = []): Zone {
  const lines = Object.values(site.hosts).flatMap((host) => [
    ...host.addressesIn().map((address) => `${host.name} ${isIP(address) === 4 ? "A" : "AAAA"} ${address}`),
    ...host.aliases.map((alias) => `${alias} CNAME ${host.name}`),
  ]);
  return { name: site.domain, records: [...headOf(authority), ...[...new Set(lines)].sort(), ...more] };
}

/** Addresses to names, of what of an inventory lies below a name such as `141.10.in-addr.arpa`. */
export function reverseZone(site: Hosts, name: string, authority: ZoneAuthority): Zone {
  const pointers = Object.values(site.hosts).flatMap((host) =>
    host.addressesIn().flatMap((address) => {
      const full = reverseName(address);
      return full.endsWith(`.${name}`) ? [{ address, line: `${full}. PTR ${host.fullName}.` }] : [];
    }),
  );
  const ordered = pointers.sort((a, b) => (addressNumber(a.address) < addressNumber(b.address) ? -1 : 1));
  return { name, records: [...headOf(authority), ...ordered.map(({ line }) => line)] };
}

/** The reverse zones of all networks of a site: as many as its ranges have whole bytes, or digits for IPv6. */
export function reverseZones(
  site: Hosts & Pick<Inventory<string, string>, "networks">,
  authority: ZoneAuthority,
): readonly Zone[] {
  const ranges = Object.values(site.networks).flatMap(({ range, range6 }) => (range6 ? [range, range6] : [range]));
  const names = [...new Set(ranges.flatMap(reverseZoneNames))];
  // What a smaller network has a zone for is not told in the zone of a larger one too.
  return names.sort().map((name) => {
    const { records } = reverseZone(site, name, authority);
    const inner = names.filter((other) => other.endsWith(`.${name}`));
    return { name, records: records.filter((line) => !inner.some((one) => line.includes(`.${one}. PTR `))) };
  });
}

/** A range that ends inside of a byte has a zone for each value that the byte may have; below a byte, the whole byte's. */
function reverseZoneNames(range: string): readonly string[] {
  const { family, first, prefix } = parseNetwork(range)!;
  const [bits, step, most] = family === 4 ? [32, 8, 24] : [128, 4, 124];
  const whole = Math.min(most, Math.max(step, Math.ceil(prefix / step) * step));
  return Array.from({ length: 2 ** Math.max(0, whole - prefix) }, (_, i) => {
    const address = addressText(family, first + (BigInt(i) << BigInt(bits - whole)));
    return reverseName(address)
      .split(".")
      .slice((bits - whole) / step)
      .join(".");
  });
}

/** RFC 1912 section 2.2 for the times, in seconds. */
function headOf({ nameServers, serial = 1, ttl = 3600 }: ZoneAuthority): string[] {
  const primary = nameServers[0]?.fullName ?? "localhost";
  return [
    `$TTL ${ttl}`,
    `@ SOA ${primary}. hostmaster.${primary}. ${serial} 7200 900 1209600 ${Math.min(ttl, 3600)}`,
    ...nameServers.map(({ fullName }) => `@ NS ${fullName}.`),
  ];
}
