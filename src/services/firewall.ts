import { isIP } from "node:net";
import { isAddressWithPrefix } from "../language/address.ts";
import { extend, type Received, serviceType } from "../language/service-type.ts";
import { bin, type GeneratedFile, sbin, text, textFile } from "../language/text.ts";
import { type ConfigurationCheck, configurationChecks } from "../system/essential-configuration.ts";
import { checks, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";

/** What a service of the system lets in, made by `openPort` and `openProtocol`. */
export interface Opening {
  /** As nft(8) matches it: `tcp dport 22`. */
  readonly match: string;
  /** Networks that may reach it; empty: everybody. */
  readonly from: readonly string[];
  /** What listens there, for people who read the rules. */
  readonly service: string;
}

interface OpeningOptions {
  readonly from?: readonly string[];
  readonly service: string;
}

export interface FirewallOptions {
  readonly policy?: "open" | "closed";
  readonly ping?: boolean;
  readonly trusted?: readonly string[];
  readonly extraRules?: readonly string[];
  readonly extraTables?: string;
  readonly openings?: readonly Opening[];
}

const policies = ["open", "closed"];

/**
 * The machine's firewall, in nftables. Services say which ports they listen on; with `policy: "closed"` nothing else is
 * reachable. Every system has one that is open, unless it lists another.
 */
export const firewall = serviceType<FirewallOptions, readonly Opening[]>({
  name: "firewall",
  description: "Firewall by nftables: with the policy closed, only what the machine's services listen on is reachable.",
  options: {
    policy: "open lets everything in, and writes no rules; closed lets in what services of this machine listen on.",
    ping: "Whether the machine answers to ping.",
    trusted: "Networks and addresses from which everything is let in.",
    extraRules: "Further rules of the input chain in nft(8)'s language, before those of the services.",
    extraTables: "Further tables in nft(8)'s language: forwarding, address translation.",
    openings: "What the services of the system listen on.",
  },
  defaults: { policy: "open", ping: true, trusted: [], extraRules: [], extraTables: "", openings: [] },
  extend: (options, received: readonly Received<readonly Opening[]>[]) => ({
    ...options,
    openings: [...options.openings, ...received.flatMap(({ value }) => value)],
  }),
  validate: ({ policy, trusted, openings }) => [
    ...(policies.includes(policy)
      ? []
      : [
          { code: "wrong-value", field: "policy", what: `found ${JSON.stringify(policy)}`, expected: "open or closed" },
        ]),
    ...[...trusted, ...openings.flatMap(({ from }) => from)]
      .filter((network) => isIP(network) === 0 && !isAddressWithPrefix(network))
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
    extend(configurationChecks, (options) => (options.policy === "closed" ? [judgement(rules(options))] : [])),
    extend(checks, ({ policy }) => (policy === "closed" ? [unitActive("nftables.service")] : [])),
  ],
});

/**
 * A port for the firewall: `openPort(53, { protocol: "udp", from: ["10.0.0.0/8"], service: "DNS" })`; `"6817-6819"` is a
 * range.
 */
export function openPort(
  port: number | string,
  { protocol = "tcp", ...more }: OpeningOptions & { readonly protocol?: "tcp" | "udp" },
): Opening {
  return openProtocol(`${protocol} dport ${port}`, more);
}

/** What has no ports: `openProtocol("meta l4proto vrrp", { from: peers, service: "web" })`, in the words of nft(8). */
export function openProtocol(match: string, { from = [], service }: OpeningOptions): Opening {
  return { match, from, service };
}

/** One transaction, so that there is no moment without rules (nft(8), "flush ruleset" in a file with -f). */
function rules({ ping, trusted, extraRules, extraTables, openings }: Required<FirewallOptions>) {
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
          ${openingRules(openings)}
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

/**
 * nft asks the kernel what the rules mean. Where the host's has no netfilter, or does not answer who builds, it has judged
 * the language alone: it reads all before it asks.
 */
function judgement(file: GeneratedFile): ConfigurationCheck {
  const script = `said=$(/usr/sbin/nft --check --file "$1" 2>&1) && exit 0
case $said in *"Operation not permitted"* | *"Operation not supported"*) exit 0 ;; esac
echo "$said" >&2
exit 1`;
  return {
    ...{ name: "nft", program: bin("dash", "sh"), arguments: ["-c", script, "nft", file] },
    ...{ loads: ["/usr/sbin/nft"], asRoot: true },
  };
}

function openingRules(openings: readonly Opening[]): string[] {
  const lines = openings.flatMap(({ match, from, service }) => {
    const sources = from.length === 0 ? [""] : [...from].sort().map((network) => `${saddr(network)} `);
    return sources.map((source) => `${source}${match} accept comment "${service.replaceAll('"', "")}"`);
  });
  return [...new Set(lines)].sort();
}

function saddr(network: string): string {
  return `${network.includes(":") ? "ip6" : "ip"} saddr ${network}`;
}
