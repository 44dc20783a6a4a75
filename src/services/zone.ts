import { isIP } from "node:net";
import { addressNumber, reverseName } from "../language/address.ts";
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

/** RFC 1912 section 2.2 for the times, in seconds. */
function headOf({ nameServers, serial = 1, ttl = 3600 }: ZoneAuthority): string[] {
  const primary = nameServers[0]?.fullName ?? "localhost";
  return [
    `$TTL ${ttl}`,
    `@ SOA ${primary}. hostmaster.${primary}. ${serial} 7200 900 1209600 ${Math.min(ttl, 3600)}`,
    ...nameServers.map(({ fullName }) => `@ NS ${fullName}.`),
  ];
}
