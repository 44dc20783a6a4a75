import { isIP } from "node:net";
import { callerLocation } from "../base/location.ts";
import { isAddressWithPrefix } from "../language/address.ts";
import type { Complaint } from "../language/complaint.ts";
import type { HostInterface } from "../language/inventory.ts";
import { extend, type Service, serviceOf, serviceType } from "../language/service-type.ts";
import { networkd } from "./networkd.ts";
import { type BondOptions, bondModes, interfaceFiles } from "./networkd-files.ts";

/** One interface with fixed addresses: written by hand, or what a host of an inventory has `on` a network. */
export type StaticInterface = Pick<HostInterface, "addresses"> &
  Partial<HostInterface> & {
    /** The interface is a VLAN on the wire of this one: `"eth0.1515": { ...host.on("storage"), parent: "eth0" }`. */
    readonly parent?: string;
    /** The interface stands for several, which carry its packets together. */
    readonly bond?: BondOptions;
  };

interface StaticNetworkingOptions {
  readonly interfaces: Readonly<Record<string, StaticInterface>>;
}

export const staticNetworkingType = serviceType<StaticNetworkingOptions>({
  name: "static-networking",
  description: "Interfaces with fixed addresses, routes and name servers; VLANs and bonds.",
  options: {
    interfaces:
      "By interface name (eth0): addresses, gateway, routes, name servers, search domains, MTU; the parent of a VLAN, the members of a bond.",
  },
  defaults: {},
  validate: ({ interfaces }) => [
    ...Object.entries(interfaces).flatMap(([name, given]) => mistakes(name, given)),
    ...Object.entries(interfaces).flatMap(([name, given]) => wiringMistakes(name, given, interfaces)),
  ],
  extensions: [
    extend(networkd, ({ interfaces }) =>
      interfaceFiles(interfaces).map(({ name, fileName, content }) => ({
        ...{ fileName, content, learnsNameServers: false },
        nameServers: interfaces[name]?.nameServers ?? [],
        searchDomains: interfaces[name]?.searchDomains ?? [],
      })),
    ),
  ],
});

/**
 * Fixed addresses: `staticNetworking({ eth0: { addresses: ["10.50.103.201/16"], gateway: "10.50.255.254" } })`. A bond
 * that carries a VLAN: `staticNetworking({ bond0: { addresses: [], bond: { members: ["eth0", "eth1"] } }, "bond0.15":
 * { ...host.on("cluster"), parent: "bond0" } })`.
 */
export function staticNetworking(interfaces: Readonly<Record<string, StaticInterface>>): Service {
  return serviceOf(staticNetworkingType, { interfaces }, callerLocation(staticNetworking));
}

function complaint(code: string, field: string, what: string, expected: string): Complaint {
  return { code, field, what, expected };
}

function mistakes(name: string, given: StaticInterface): Complaint[] {
  const wrong = (what: string, where: string, expected: string): Complaint =>
    complaint("wrong-address", `interfaces.${name}.${where}`, `found ${JSON.stringify(what)}`, expected);
  return [
    // Linux IFNAMSIZ: 16 bytes with the final zero.
    ...(/^[A-Za-z0-9_.-]{1,15}$/.test(name) ? [] : [wrong(name, "", "an interface name of 1 to 15 characters")]),
    ...given.addresses
      .filter((address) => !isAddressWithPrefix(address))
      .map((address) => wrong(address, "addresses", "an address with its prefix: 10.50.103.201/16")),
    ...(given.gateway === undefined || isIP(given.gateway) ? [] : [wrong(given.gateway, "gateway", "an IP address")]),
    ...(given.gateway6 === undefined || isIP(given.gateway6) === 6
      ? []
      : [wrong(given.gateway6, "gateway6", "an IPv6 address")]),
    ...(given.nameServers ?? [])
      .filter((server) => !isIP(server))
      .map((server) => wrong(server, "nameServers", "an IP address")),
    ...(given.routes ?? []).flatMap((route) => [
      ...(isAddressWithPrefix(route.destination)
        ? []
        : [wrong(route.destination, "routes", "a network: 10.141.0.0/16")]),
      ...(isIP(route.gateway) ? [] : [wrong(route.gateway, "routes", "an IP address as gateway")]),
    ]),
    ...(given.mtu === undefined || (Number.isInteger(given.mtu) && given.mtu >= 576 && given.mtu <= 65535)
      ? []
      : [wrong(String(given.mtu), "mtu", "bytes, 576 to 65535")]),
  ];
}

/** What is wrong between interfaces: who is on whose wire. */
function wiringMistakes(name: string, given: StaticInterface, all: Readonly<Record<string, StaticInterface>>) {
  const { parent, bond, vlan, mtu } = given;
  const field = `interfaces.${name}`;
  const found: Complaint[] = [];
  if (parent !== undefined) {
    if (parent === name) found.push(complaint("wrong-value", `${field}.parent`, "found itself", "another interface"));
    if (bond) found.push(complaint("wrong-value", field, "found a parent and a bond", "one of the two"));
    if (vlan === undefined || !Number.isInteger(vlan) || vlan < 1 || vlan > 4094) {
      found.push(complaint("wrong-value", `${field}.vlan`, `found the VLAN ${vlan}`, "a whole number from 1 to 4094"));
    }
    // Beside its packets a VLAN's wire carries a tag, which Ethernet does not count.
    const wire = all[parent]?.mtu ?? 1500;
    if (all[parent] && (mtu ?? 1500) > wire) {
      found.push(complaint("wrong-value", `${field}.mtu`, `found ${mtu}`, `${wire} at most, as ${parent} has`));
    }
    const twin = Object.entries(all).find(([other, one]) => other < name && one.parent === parent && one.vlan === vlan);
    if (twin)
      found.push(complaint("same-vlan", `${field}.vlan`, `${twin[0]} and ${name} are both ${vlan}`, "one of each"));
  }
  if (bond) {
    if (bond.members.length === 0)
      found.push(complaint("missing-field", `${field}.bond`, "found no member", "interfaces"));
    if (!bondModes.includes(bond.mode ?? "802.3ad")) {
      found.push(complaint("wrong-value", `${field}.bond.mode`, `found ${bond.mode}`, bondModes.join(", ")));
    }
    for (const member of bond.members) {
      if (all[member]) {
        const what = `${member} is a member of ${name} and has addresses of its own`;
        found.push(complaint("wrong-value", `${field}.bond.members`, what, "a member that is nothing else"));
      }
    }
  }
  return found;
}
