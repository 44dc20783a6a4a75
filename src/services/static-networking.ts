import { isIP } from "node:net";
import { callerLocation } from "../base/location.ts";
import { isAddressWithPrefix } from "../language/address.ts";
import type { HostInterface } from "../language/inventory.ts";
import type { NetworkRoute } from "../language/network.ts";
import { extend, type Service, serviceOf, serviceType } from "../language/service-type.ts";
import { text } from "../language/text.ts";
import { networkd } from "./networkd.ts";

/** One interface with fixed addresses: written by hand, or what a host of an inventory has `on` a network. */
export type StaticInterface = Pick<HostInterface, "addresses"> & Partial<HostInterface>;

interface StaticNetworkingOptions {
  readonly interfaces: Readonly<Record<string, StaticInterface>>;
}

export const staticNetworkingType = serviceType<StaticNetworkingOptions>({
  name: "static-networking",
  description: "Interfaces with fixed addresses, routes and name servers.",
  options: { interfaces: "By interface name (eth0): addresses, gateway, routes, name servers, search domains, MTU." },
  defaults: {},
  validate: ({ interfaces }) => Object.entries(interfaces).flatMap(([name, given]) => mistakes(name, given)),
  extensions: [
    extend(networkd, ({ interfaces }) =>
      Object.entries(interfaces).map(([name, given]) => ({
        fileName: `10-${name}.network`,
        content: networkFile(name, given),
        learnsNameServers: false,
        nameServers: given.nameServers ?? [],
        searchDomains: given.searchDomains ?? [],
      })),
    ),
  ],
});

/** Fixed addresses: `staticNetworking({ eth0: { addresses: ["10.50.103.201/16"], gateway: "10.50.255.254" } })`. */
export function staticNetworking(interfaces: Readonly<Record<string, StaticInterface>>): Service {
  return serviceOf(staticNetworkingType, { interfaces }, callerLocation(staticNetworking));
}

function networkFile(name: string, given: StaticInterface) {
  return text`
    [Match]
    Name=${name}

    [Network]
    ${given.addresses.map((address) => `Address=${address}`)}
    ${[given.gateway, given.gateway6].filter((gateway) => gateway !== undefined).map((gateway) => `Gateway=${gateway}`)}
    ${(given.nameServers ?? []).map((server) => `DNS=${server}`)}
    ${given.searchDomains?.length ? `Domains=${given.searchDomains.join(" ")}` : ""}
    DHCP=no
    IPv6AcceptRA=no
    ${given.mtu === undefined ? "" : `\n[Link]\nMTUBytes=${given.mtu}`}
    ${(given.routes ?? []).map(routeSection)}
  `;
}

function routeSection({ destination, gateway, metric }: NetworkRoute): string {
  return `\n[Route]\nDestination=${destination}\nGateway=${gateway}${metric === undefined ? "" : `\nMetric=${metric}`}`;
}

function mistakes(name: string, given: StaticInterface) {
  const field = `interfaces.${name}`;
  const wrong = (what: string, where: string, expected: string) => ({
    code: "wrong-address",
    field: `${field}.${where}`,
    what: `found ${JSON.stringify(what)}`,
    expected,
  });
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
