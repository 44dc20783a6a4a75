import { extend, serviceType } from "../language/service-type.ts";
import { text } from "../language/text.ts";
import { networkd } from "./networkd.ts";

export interface DhcpNetworkingOptions {
  readonly interfaces?: readonly string[];
  readonly ipv6?: boolean;
}

/** Addresses from the network, for every interface that no other service speaks for. */
export const dhcpNetworking = serviceType<DhcpNetworkingOptions>({
  name: "dhcp-networking",
  description: "Takes addresses, routes and name servers from DHCP and router advertisements.",
  options: {
    interfaces: "Names or patterns of interfaces; an empty list means every Ethernet interface that has no other rule.",
    ipv6: "Whether IPv6 addresses are taken too.",
  },
  defaults: { interfaces: [], ipv6: true },
  extensions: [
    extend(networkd, ({ interfaces, ipv6 }) => [
      {
        fileName: "80-dhcp.network",
        content: text`
          [Match]
          ${interfaces.length > 0 ? `Name=${interfaces.join(" ")}` : "Type=ether\nKind=!*"}

          [Network]
          DHCP=${ipv6 ? "yes" : "ipv4"}
          IPv6AcceptRA=${ipv6 ? "yes" : "no"}
        `,
        learnsNameServers: true,
        nameServers: [],
        searchDomains: [],
      },
    ]),
  ],
});
