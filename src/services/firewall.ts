import { isIP } from "node:net";
import { extend, type Received, serviceType } from "../language/service-type.ts";
import { sbin, text, textFile } from "../language/text.ts";
import { checks, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";

/** A port that a service of the system listens on, made by `openPort`. */
export interface OpenPort {
  readonly port: number | string;
  readonly protocol: "tcp" | "udp" | "vrrp";
  /** Networks that may reach it; empty: everybody. */
  readonly from: readonly string[];
  /** What listens there, for people who read the rules. */
  readonly service: string;
}

export interface FirewallOptions {
  readonly policy?: "open" | "closed";
  readonly ping?: boolean;
  readonly trusted?: readonly string[];
  readonly extraRules?: readonly string[];
  readonly extraTables?: string;
  readonly ports?: readonly OpenPort[];
}

const policies = ["open", "closed"];

/**
 * The machine's firewall, in nftables. Services say which ports they listen on; with `policy: "closed"` nothing else is
 * reachable. Every system has one that is open, unless it lists another.
 */
export const firewall = serviceType<FirewallOptions, readonly OpenPort[]>({
  name: "firewall",
  description: "Firewall by nftables: with the policy closed, only what the machine's services listen on is reachable.",
  options: {
    policy: "open lets everything in, and writes no rules; closed lets in what services of this machine listen on.",
    ping: "Whether the machine answers to ping.",
    trusted: "Networks and addresses from which everything is let in.",
    extraRules: "Further rules of the input chain in nft(8)'s language, before those of the services.",
    extraTables: "Further tables in nft(8)'s language: forwarding, address translation.",
    ports: "What the services of the system listen on.",
  },
  defaults: { policy: "open", ping: true, trusted: [], extraRules: [], extraTables: "", ports: [] },
  extend: (options, received: readonly Received<readonly OpenPort[]>[]) => ({
    ...options,
    ports: [...options.ports, ...received.flatMap(({ value }) => value)],
  }),
  validate: ({ policy, trusted, ports }) => [
    ...(policies.includes(policy)
      ? []
      : [
          { code: "wrong-value", field: "policy", what: `found ${JSON.stringify(policy)}`, expected: "open or closed" },
        ]),
    ...[...trusted, ...ports.flatMap(({ from }) => from)]
      .filter((network) => !isNetworkOrAddress(network))
      .map((network) => ({
        code: "wrong-address",
        field: "trusted",
        what: `found ${JSON.stringify(network)}`,
        expected: "an address or a network: 10.0.0.0/8",
      })),
  ],
  extensions: [
    extend(profile, ({ policy }) => (policy === "closed" ? ["nftables"] : [])),
    extend(systemdUnits, (options) =>
      options.policy === "open"
        ? []
        : [
            enableUnit("nftables.service"),
            dropIn("nftables.service", "meso", {
              text: text`
                [Service]
                ExecStart=
                ExecStart=${sbin("nftables", "nft")} -f ${rules(options)}
                ExecReload=
                ExecReload=${sbin("nftables", "nft")} -f ${rules(options)}
              `,
            }),
          ],
    ),
    extend(checks, ({ policy }) => (policy === "closed" ? [unitActive("nftables.service")] : [])),
  ],
});

/** A port for the firewall: `openPort(53, { protocol: "udp", from: ["10.0.0.0/8"], service: "DNS" })`; `"6817-6819"` is a range. */
export function openPort(
  port: number | string,
  { protocol = "tcp", from = [], service }: Partial<OpenPort> & Pick<OpenPort, "service">,
): OpenPort {
  return { port, protocol, from, service };
}

/** One transaction, so that there is no moment without rules (nft(8), "flush ruleset" in a file with -f). */
function rules({ ping, trusted, extraRules, extraTables, ports }: Required<FirewallOptions>) {
  return textFile(
    "nftables.conf",
    text`
      flush ruleset

      table inet filter {
        chain input {
          type filter hook input priority filter; policy drop;
          ct state established,related accept
          ct state invalid drop
          iif lo accept
          # What IPv6 and path MTU discovery cannot do without (RFC 4890).
          icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query, mld-listener-report } accept
          icmp type { destination-unreachable, time-exceeded, parameter-problem } accept
          ${ping ? "icmp type echo-request accept\nicmpv6 type echo-request accept" : ""}
          # Answers of DHCPv6 come from an address that nobody asked.
          ip6 saddr fe80::/10 udp dport 546 accept
          ${[...new Set(trusted)].sort().map((network) => `${saddr(network)} accept`)}
          ${extraRules}
          ${portRules(ports)}
        }
        chain forward {
          type filter hook forward priority filter; policy drop;
          ct state established,related accept
        }
      }
      ${extraTables}
    `,
  );
}

function portRules(ports: readonly OpenPort[]): string[] {
  const lines = ports.flatMap(({ port, protocol, from, service }) => {
    const match = protocol === "vrrp" ? "ip protocol vrrp" : `${protocol} dport ${port}`;
    const sources = from.length === 0 ? [""] : [...from].sort().map((network) => `${saddr(network)} `);
    return sources.map((source) => `${source}${match} accept comment "${service.replaceAll('"', "")}"`);
  });
  return [...new Set(lines)].sort();
}

function saddr(network: string): string {
  return `${network.includes(":") ? "ip6" : "ip"} saddr ${network}`;
}

function isNetworkOrAddress(value: string): boolean {
  const [address, prefix, ...rest] = value.split("/");
  const family = isIP(address ?? "");
  if (family === 0 || rest.length > 0) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128));
}
