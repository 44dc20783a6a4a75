import { isIP } from "node:net";
import type { Problem } from "../base/error.ts";
import { MesoError } from "../base/error.ts";
import { callerLocation } from "../base/location.ts";
import { isInside, parseNetwork } from "./address.ts";
import type { Host } from "./name-resolution.ts";
import { host, isHostName } from "./name-resolution.ts";
import type { Network, NetworkRoute } from "./network.ts";
import { factsOf } from "./record.ts";

/** What is written of a machine: its address in each network it is in, the main one first. */
export type HostAddresses<Networks extends string> = Readonly<Partial<Record<Networks, string | DualAddress>>>;

/** An address of each kind. */
export interface DualAddress {
  readonly v4?: string;
  readonly v6?: string;
}

/** A machine as others know it. `Name` is in its type: where one machine is wanted, no other compiles. */
export interface HostEntry<Name extends string = string, Networks extends string = string> {
  readonly name: Name;
  /** With the site's domain. */
  readonly fullName: string;
  /** In its first network. */
  readonly address: string;
  readonly networks: readonly Networks[];
  /** Further names, for the name service. */
  readonly aliases: readonly string[];
  /** Its addresses in one network, or in all. */
  addressesIn(network?: Networks): readonly string[];
  /** How to be in the network, as `staticNetworking({ eth0: host.on("cluster") })` takes it. */
  on(network: Networks): HostInterface;
}

/** How an interface is in a network. */
export interface HostInterface {
  /** With their prefix: `10.50.103.201/16`. */
  readonly addresses: readonly string[];
  /** Where packets go that no other route takes. */
  readonly gateway?: string;
  /** The same for IPv6, where the interface has both. */
  readonly gateway6?: string;
  readonly nameServers: readonly string[];
  readonly searchDomains: readonly string[];
  readonly routes: readonly NetworkRoute[];
  /** Largest packet in bytes. */
  readonly mtu?: number;
  /** The network's number on wires that carry several. */
  readonly vlan?: number;
}

/** The machines of a site by name, and what follows from them all. */
export interface Inventory<Names extends string, Networks extends string> {
  readonly domain: string;
  readonly networks: Readonly<Record<Networks, Network>>;
  readonly hosts: { readonly [Name in Names]: HostEntry<Name, Networks> };
  /** Lines for every machine's /etc/hosts, by name. */
  readonly lines: readonly Host[];
}

/**
 * Names and addresses of all machines of a site, written before any of their systems: these are functions of it.
 *
 *     const { hosts } = inventory({
 *       domain: "example.org",
 *       networks: { cluster },
 *       machines: { "ldap-1": { cluster: "10.141.0.11" }, "ctld": { cluster: "10.141.0.20" } },
 *     });
 *     hosts["ldap-1"].address
 *
 * @throws MesoError with every address that lies outside of its network or is given twice, and every wrong name.
 */
export function inventory<
  const Networks extends Readonly<Record<string, Network>>,
  const Machines extends Readonly<Record<string, HostAddresses<keyof Networks & string>>>,
>(given: {
  readonly domain: string;
  readonly networks: Networks;
  readonly machines: Machines;
  /** Further names of machines, for the name service: `{ "ldap-1": ["ldap"] }`. */
  readonly aliases?: Readonly<Partial<Record<keyof Machines & string, readonly string[]>>>;
}): Inventory<keyof Machines & string, keyof Networks & string> {
  const where = callerLocation(inventory);
  const machines = given.machines as Readonly<Record<string, HostAddresses<string>>>;
  const problems = [
    ...networkProblems(given.networks),
    ...nameProblems(machines),
    ...addressProblems(given.networks, machines),
  ];
  if (problems.length > 0) throw new MesoError(problems.map((problem) => (where ? { where, ...problem } : problem)));
  const aliases = (given.aliases ?? {}) as Readonly<Record<string, readonly string[]>>;
  const hosts = Object.fromEntries(
    Object.entries(machines).map(([name, addresses]) => [
      name,
      hostEntry(name, given.domain, given.networks, addresses, aliases[name] ?? []),
    ]),
  );
  return Object.freeze({
    domain: given.domain,
    networks: given.networks,
    hosts: Object.freeze(hosts),
    lines: Object.values(hosts).flatMap((entry) =>
      entry.addressesIn().map((address) => host(address, entry.fullName, entry.name, ...entry.aliases)),
    ),
  }) as unknown as Inventory<keyof Machines & string, keyof Networks & string>;
}

function hostEntry(
  name: string,
  domain: string,
  networks: Readonly<Record<string, Network>>,
  given: HostAddresses<string>,
  aliases: readonly string[],
): HostEntry {
  const all = Object.entries(given).map(([network, addresses]) => ({ network, addresses: listed(addresses) }));
  const addressesIn = (network?: string): readonly string[] =>
    all.filter((one) => network === undefined || one.network === network).flatMap(({ addresses }) => addresses);
  return Object.freeze({
    ...{ name, aliases, addressesIn },
    fullName: `${name}.${domain}`,
    address: all[0]!.addresses[0]!,
    networks: all.map(({ network }) => network),
    on: (network: string) => interfaceIn(networks[network]!, addressesIn(network)),
  });
}

function interfaceIn(network: Network, addresses: readonly string[]): HostInterface {
  const { gateway, gateway6, nameServers, searchDomains, routes, mtu, vlan } = network;
  return {
    addresses: addresses.map((address) => `${address}/${prefixOf(network, address)}`),
    ...(gateway !== undefined && { gateway }),
    ...(gateway6 !== undefined && { gateway6 }),
    ...{ nameServers, searchDomains, routes },
    ...(mtu !== undefined && { mtu }),
    ...(vlan !== undefined && { vlan }),
  };
}

function prefixOf({ range, range6 }: Network, address: string): number {
  return parseNetwork(isIP(address) === 4 ? range : (range6 ?? range))!.prefix;
}

function listed(addresses: string | DualAddress | undefined): readonly string[] {
  if (addresses === undefined) return [];
  if (typeof addresses === "string") return [addresses];
  return [addresses.v4, addresses.v6].filter((one) => one !== undefined);
}

function networkProblems(networks: Readonly<Record<string, unknown>>): Problem[] {
  return Object.entries(networks)
    .filter(([, one]) => factsOf(one)?.kind !== "network")
    .map(([name]) => ({
      code: "not-a-record",
      field: `networks.${name}`,
      what: "found no network",
      expected: "network({ name, range })",
    }));
}

function nameProblems(machines: Readonly<Record<string, HostAddresses<string>>>): Problem[] {
  return Object.entries(machines).flatMap(([name, addresses]) => [
    ...(isHostName(name) && !name.includes(".")
      ? []
      : [{ code: "wrong-host-name", field: "machines", what: `found the machine ${name}`, expected: "a host name" }]),
    ...(Object.values(addresses).flatMap(listed).length > 0
      ? []
      : [
          {
            code: "missing-field",
            field: `machines[${JSON.stringify(name)}]`,
            what: "found no address",
            expected: "one at least",
          },
        ]),
  ]);
}

function addressProblems(
  networks: Readonly<Record<string, Network>>,
  machines: Readonly<Record<string, HostAddresses<string>>>,
): Problem[] {
  const owners = new Map<string, string>();
  return Object.entries(machines).flatMap(([name, addresses]) =>
    Object.entries(addresses).flatMap(([networkName, some]) =>
      listed(some).flatMap((address): Problem[] => {
        const field = `machines[${JSON.stringify(name)}].${networkName}`;
        const known = networks[networkName];
        const ranges = [known?.range, known?.range6].filter((range) => range !== undefined);
        const isThere = ranges.some((range) => {
          const parsed = parseNetwork(range);
          return parsed !== undefined && isInside(address, parsed);
        });
        if (!isThere) {
          const expected = `an address in ${ranges.join(" or ") || "a network of the inventory"}`;
          return [{ code: "wrong-address", field, what: `found ${address}`, expected }];
        }
        const key = `${networkName} ${address}`;
        const owner = owners.get(key);
        owners.set(key, name);
        if (owner === undefined) return [];
        return [{ code: "same-address", field, what: `${owner} and ${name} both have ${address}` }];
      }),
    ),
  );
}
