// Crossed load balancers, four inside and four for the world: each address lives on one of the four, and on the next
// when that one fails.

import type { Machine } from "mesoforge";
import { pipe } from "mesoforge";
import { type FloatingAddresses, haproxy, withHardening, withKeepalived, withServices } from "mesoforge/services";
import { type HostName, hosts, offered } from "../site.ts";
import { oneDisk } from "../template/v3.ts";
import { virtualMachine } from "./machine.ts";

const intra = ["lb-intra-1", "lb-intra-2", "lb-intra-3", "lb-intra-4"] as const;
const pub = ["lb-pub-1", "lb-pub-2", "lb-pub-3", "lb-pub-4"] as const;

/** Addresses that the balancers of a group have, one of them each; the number is VRRP's. */
function crossed(
  self: HostName,
  group: readonly HostName[],
  addresses: Readonly<Partial<Record<HostName, number>>>,
): readonly FloatingAddresses[] {
  return Object.entries(addresses).map(([name, router], index) => {
    const address = hosts[name as HostName];
    const [network] = address.networks;
    const distance = (group.indexOf(self) - index + group.length) % group.length;
    return {
      ...{ name, router, interface: "eth0", addresses: address.on(network!).addresses },
      ...{ priority: 200 - 10 * distance, self: hosts[self].address },
      peers: group.filter((other) => other !== self).map((other) => hosts[other].address),
    };
  });
}

const insideBalancer = (name: (typeof intra)[number]) =>
  pipe(
    oneDisk,
    withKeepalived({ floating: crossed(name, intra, { dns: 51, "dns-b": 52, directory: 53, database: 54 }) }),
    withServices(
      haproxy({
        ports: [{ name: "proxy", port: 3128, servers: offered.proxies, balance: "source" }],
        statisticsPort: 8404,
      }),
    ),
  );

const publicBalancer = (name: (typeof pub)[number]) =>
  pipe(
    oneDisk,
    withKeepalived({ floating: crossed(name, pub, { portal: 61, access: 62 }) }),
    withServices(
      haproxy({
        ports: [
          { name: "portal", port: 80, mode: "http", healthPath: "/", servers: offered.reverse },
          { name: "access", port: 2222, servers: offered.bastions, balance: "source" },
        ],
      }),
    ),
    withHardening(),
  );

const size = { memory: "1GiB", cores: 2 } as const;

export const balancers: Readonly<Record<string, Machine>> = Object.fromEntries([
  ...intra.map((name, i) => [
    `balancers/${name}`,
    virtualMachine(name, 200 + i, insideBalancer(name), { ...size, group: "lb-intra", wave: i }),
  ]),
  ...pub.map((name, i) => [
    `balancers/${name}`,
    virtualMachine(name, 210 + i, publicBalancer(name), { ...size, group: "lb-pub", wave: i }),
  ]),
]);
