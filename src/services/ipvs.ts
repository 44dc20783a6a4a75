import { isIP } from "node:net";
import type { Complaint } from "../language/complaint.ts";
import type { Endpoint } from "../language/endpoint.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { type Text, text } from "../language/text.ts";
import { kernelModules, sysctl } from "../system/essential-boot.ts";
import { checks, commandSucceeds, profile } from "../system/essential-profile.ts";
import { firewall, openPort } from "./firewall.ts";
import { keepalived } from "./keepalived.ts";

const schedulers = ["rr", "wrr", "lc", "wlc", "sh", "mh"] as const;
const ways = { translated: "NAT", direct: "DR", tunnel: "TUN" } as const;

/** An address and port that the kernel spreads over several servers. */
export interface VirtualServer {
  readonly address: string;
  readonly port: number;
  readonly protocol?: "TCP" | "UDP";
  readonly servers: readonly (Endpoint | { readonly server: Endpoint; readonly weight: number })[];
  readonly scheduler?: (typeof schedulers)[number];
  /**
   * How packets reach the servers: `translated`, and back through this machine; `direct`, with the address on the
   * servers' loopback interface too, so that answers go past it; `tunnel`, the same across networks.
   */
  readonly way?: keyof typeof ways;
  /** A client goes to the same server for so many seconds. */
  readonly persistence?: number;
  /** How it is known that a server works: that it accepts connections, a path that answers 200, or nothing. */
  readonly healthy?: "connect" | "none" | { readonly path: string };
}

export interface IpvsOptions {
  readonly virtualServers: readonly VirtualServer[];
}

/** Load balancing in the kernel, of what works, by keepalived. */
export const ipvs = serviceType<IpvsOptions>({
  name: "ipvs",
  description:
    "Load balancing in the kernel (IPVS): keepalived looks which servers work; ipvsadm and conntrack tell what goes where.",
  options: { virtualServers: "Addresses and ports, the servers behind each, and how packets reach them." },
  defaults: {},
  validate: ({ virtualServers }) => virtualServers.flatMap(mistakes),
  extensions: [
    extend(profile, () => ["ipvsadm", "conntrack"]),
    extend(kernelModules, ({ virtualServers }) => [
      "ip_vs",
      ...new Set(virtualServers.map(({ scheduler = "wlc" }) => `ip_vs_${scheduler}`)),
    ]),
    extend(sysctl, ({ virtualServers }) => ({
      "net.ipv4.vs.conntrack": 1,
      ...(virtualServers.some(({ address }) => isIP(address) === 4) && { "net.ipv4.ip_forward": 1 }),
      ...(virtualServers.some(({ address }) => isIP(address) === 6) && { "net.ipv6.conf.all.forwarding": 1 }),
    })),
    extend(keepalived, ({ virtualServers }) => virtualServers.map(serverText)),
    extend(firewall, ({ virtualServers }) =>
      virtualServers.map(({ port, protocol = "TCP" }) =>
        openPort(port, { protocol: protocol === "TCP" ? "tcp" : "udp", service: "IPVS" }),
      ),
    ),
    extend(checks, ({ virtualServers }) =>
      virtualServers.map(({ address, port, protocol = "TCP" }) => {
        const listed = `${protocol}  ${address.includes(":") ? `[${address}]` : address}:${port} `;
        return commandSucceeds("sh", "-c", `ipvsadm --list --numeric | grep -Fq '${listed}'`);
      }),
    ),
  ],
});

function mistakes({ address, port, servers, way = "translated", ...one }: VirtualServer): Complaint[] {
  const where = `${address}:${port}`;
  const others = servers.map(endpointOf).filter((server) => way !== "translated" && server.port !== port);
  return [
    ...(isIP(address) === 0
      ? [{ code: "wrong-address", field: "virtualServers", what: `found ${address}`, expected: "an IP address" }]
      : []),
    ...(servers.length === 0
      ? [{ code: "missing-field", field: "virtualServers", what: `no server is behind ${where}` }]
      : []),
    ...(one.scheduler === undefined || schedulers.includes(one.scheduler)
      ? []
      : [
          {
            code: "wrong-value",
            field: "virtualServers",
            what: `found ${one.scheduler}`,
            expected: schedulers.join(", "),
          },
        ]),
    ...others.map((server) => ({
      ...{
        code: "wrong-port",
        field: "virtualServers",
        what: `${server.hostName} is behind ${where} on ${server.port}`,
      },
      expected: "the same port: only what is translated may have another",
    })),
    ...(one.protocol === "UDP" && one.healthy !== "none"
      ? [
          {
            ...{
              code: "wrong-value",
              field: "virtualServers",
              what: `whether UDP servers of ${where} work is not known`,
            },
            expected: 'healthy: "none"',
          },
        ]
      : []),
  ];
}

function endpointOf(given: VirtualServer["servers"][number]): Endpoint {
  return "server" in given ? given.server : given;
}

function serverText({ address, port, protocol = "TCP", servers, scheduler = "wlc", ...one }: VirtualServer): Text {
  const { way = "translated", persistence, healthy = "connect" } = one;
  return text`
    virtual_server ${address} ${port} {
      delay_loop 2
      lvs_sched ${scheduler}
      lvs_method ${ways[way]}
      protocol ${protocol}
      ${persistence === undefined ? "" : `persistence_timeout ${persistence}`}
      ${servers.map((given) => {
        const server = endpointOf(given);
        return text`
          real_server ${server.address} ${server.port} {
            weight ${"server" in given ? given.weight : 1}
            ${healthText(healthy)}
          }
        `;
      })}
    }
  `;
}

function healthText(healthy: NonNullable<VirtualServer["healthy"]>): Text | string {
  if (healthy === "none") return "";
  const times = ["connect_timeout 3", "retry 2", "delay_before_retry 1"];
  if (healthy === "connect") return text`TCP_CHECK {\n  ${times}\n}`;
  return text`
    HTTP_GET {
      url {
        path ${healthy.path}
        status_code 200
      }
      ${times}
    }
  `;
}
