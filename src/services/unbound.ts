import { isIP } from "node:net";
import type { Endpoint } from "../language/endpoint.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { type GeneratedFile, sbin, text, textFile } from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { checks, portAnswers, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";

/** A part of the name space that certain servers are asked for. */
export interface ForwardZone {
  /** `example.org`; `.` for everything. */
  readonly name: string;
  readonly servers: readonly Endpoint<"dns">[];
  /** Signatures are not asked for: zones of a site that the world's root does not know. */
  readonly unsigned?: boolean;
}

export interface UnboundOptions {
  readonly listenAddresses?: readonly string[];
  readonly allow?: readonly string[];
  readonly forwardZones?: readonly ForwardZone[];
  readonly dnssecValidation?: boolean;
  readonly cacheSize?: string;
  readonly extraConfiguration?: string;
}

/** A resolver with a cache, for machines that ask for names. */
export const unbound = serviceType<UnboundOptions>({
  name: "unbound",
  description: "Resolver that looks names up for other machines, and remembers the answers.",
  options: {
    listenAddresses: "Addresses to listen on; an empty list means all.",
    allow: "Networks that may ask; the machine itself always may.",
    forwardZones: "Zones that certain servers are asked for, in place of the root's.",
    dnssecValidation: "Whether signatures of answers are checked; a network without the world's root cannot.",
    cacheSize: "Memory for answers: 64m. As much again is taken for what belongs to them.",
    extraConfiguration: "Further lines of the server clause of unbound.conf(5).",
  },
  defaults: {
    listenAddresses: [],
    allow: [],
    forwardZones: [],
    dnssecValidation: true,
    cacheSize: "64m",
    extraConfiguration: "",
  },
  validate: ({ listenAddresses }) =>
    listenAddresses
      .filter((address) => isIP(address) === 0)
      .map((address) => ({
        ...{ code: "wrong-address", field: "listenAddresses", what: `found ${JSON.stringify(address)}` },
        expected: "an IP address",
      })),
  extensions: [
    extend(profile, () => ["unbound", "dns-root-data"]),
    extend(systemdUnits, (options) => [
      enableUnit("unbound.service"),
      dropIn("unbound.service", "meso", {
        text: text`
          [Service]
          ExecStart=
          ExecStart=${sbin("unbound", "unbound")} -d -p -c ${unboundConf(options)}
        `,
      }),
    ]),
    extend(configurationChecks, (options) => [
      {
        name: "unbound-checkconf",
        program: sbin("unbound", "unbound-checkconf"),
        arguments: [unboundConf(options, "judged")],
        reads: ["/usr/share/dns"],
        folders: ["/var/lib/unbound"],
      },
    ]),
    extend(firewall, ({ allow }) =>
      (["tcp", "udp"] as const).map((protocol) => openPort(53, { protocol, from: allow, service: "DNS" })),
    ),
    extend(checks, () => [unitActive("unbound.service"), portAnswers(53)]),
  ],
});

/** Judged with the anchor that Debian ships: the one that is kept up to date is copied from it when the service starts. */
function unboundConf(options: Required<UnboundOptions>, kind: "running" | "judged" = "running"): GeneratedFile {
  const anchor =
    kind === "running"
      ? 'auto-trust-anchor-file: "/var/lib/unbound/root.key"'
      : 'trust-anchor-file: "/usr/share/dns/root.key"';
  const { listenAddresses, allow, forwardZones, dnssecValidation, cacheSize } = options;
  const everywhere = ["0.0.0.0", "::0"];
  return textFile(
    "unbound.conf",
    text`
      server:
        ${(listenAddresses.length > 0 ? listenAddresses : everywhere).map((address) => `interface: ${address}`)}
        interface-automatic: no
        access-control: 127.0.0.0/8 allow
        access-control: ::1 allow
        ${[...allow].sort().map((network) => `access-control: ${network} allow`)}
        username: "unbound"
        chroot: ""
        directory: "/var/lib/unbound"
        pidfile: ""
        use-syslog: yes
        hide-identity: yes
        hide-version: yes
        prefetch: yes
        msg-cache-size: ${cacheSize}
        rrset-cache-size: ${cacheSize}
        module-config: "${dnssecValidation ? "validator iterator" : "iterator"}"
        ${dnssecValidation ? anchor : ""}
        ${forwardZones.filter(({ unsigned }) => unsigned).map(({ name }) => `domain-insecure: "${name}"`)}
        ${forwardZones.filter(({ name }) => name.endsWith(".arpa")).map(({ name }) => `local-zone: "${name}." nodefault`)}
        ${options.extraConfiguration}
      remote-control:
        control-enable: no
      ${forwardZones.map(
        ({ name, servers }) => text`
          forward-zone:
            name: "${name}"
            ${servers.map(({ address, port }) => `forward-addr: ${address}@${port}`)}
        `,
      )}
    `,
  );
}
