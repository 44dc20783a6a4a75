import { isIP } from "node:net";
import type { Endpoint } from "../language/endpoint.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { bin, type GeneratedFile, sbin, text, textFile } from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { checks, portAnswers, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";
import { state, stateFolder } from "./state.ts";
import type { Zone } from "./zone.ts";

/** A zone that is fetched from other servers. */
export interface SecondaryZone {
  readonly name: string;
  readonly primaries: readonly Endpoint<"dns">[];
}

export interface Bind9Options {
  readonly zones?: readonly Zone[];
  readonly secondaryZones?: readonly SecondaryZone[];
  readonly transferTo?: readonly string[];
  readonly listenAddresses?: readonly string[];
  readonly allowQuery?: readonly string[];
  readonly recursionFor?: readonly string[];
  readonly forwarders?: readonly string[];
  readonly dnssecValidation?: boolean;
  readonly statisticsPort?: number | undefined;
  readonly extraConfiguration?: string;
}

/** BIND: answers for zones of one's own, and looks names up for those who may ask. */
export const bind9 = serviceType<Bind9Options>({
  name: "bind9",
  description: "BIND name server: authoritative for zones made from an inventory, and a resolver for whom it is told.",
  options: {
    zones: "Zones that this server is the primary of: hostZone(), reverseZone(), or a name and lines.",
    secondaryZones: "Zones that it fetches from their primaries.",
    transferTo: "Addresses and networks of servers that may fetch whole zones, and are told of changes.",
    listenAddresses: "Addresses to listen on; an empty list means all.",
    allowQuery: "Addresses and networks that may ask for the server's own zones.",
    recursionFor: "Addresses and networks whose every question is answered; an empty list means nobody's.",
    forwarders: "Servers that are asked in place of the root's.",
    dnssecValidation: "Whether signatures of answers are checked; a network without the world's root cannot.",
    statisticsPort:
      "Port, on this machine alone, that tells what was asked and answered, in XML and JSON: for exporters.",
    extraConfiguration: "Further statements of named.conf(5).",
  },
  defaults: {
    zones: [],
    secondaryZones: [],
    transferTo: [],
    listenAddresses: [],
    allowQuery: ["any"],
    recursionFor: [],
    forwarders: [],
    dnssecValidation: true,
    statisticsPort: undefined,
    extraConfiguration: "",
  },
  validate: ({ forwarders, listenAddresses, zones, secondaryZones }) => [
    ...Object.entries({ forwarders, listenAddresses }).flatMap(([field, addresses]) =>
      addresses
        .filter((address) => isIP(address) === 0)
        .map((address) => ({
          ...{ code: "wrong-address", field, what: `found ${JSON.stringify(address)}` },
          expected: "an IP address",
        })),
    ),
    ...twice([...zones, ...secondaryZones].map(({ name }) => name)).map((name) => ({
      code: "same-zone",
      field: "zones",
      what: `the zone ${name} is there twice`,
    })),
  ],
  extensions: [
    extend(profile, () => ["bind9", "bind9-utils"]),
    extend(systemdUnits, (options) => [
      enableUnit("named.service"),
      dropIn("named.service", "meso", {
        text: text`
          [Service]
          ExecStart=
          ExecStart=${sbin("bind9", "named")} -f -u bind -c ${namedConf(options)}
        `,
      }),
    ]),
    // What it has fetched, for when a primary does not answer.
    extend(state, ({ secondaryZones }) =>
      secondaryZones.length === 0
        ? []
        : [stateFolder("/var/cache/bind", { group: "bind", mode: 0o775, units: ["named.service"] })],
    ),
    extend(configurationChecks, (options) => [
      {
        name: "named-checkconf",
        program: bin("bind9-utils", "named-checkconf"),
        // With -z each zone is loaded too.
        arguments: ["-z", namedConf(options)],
        folders: ["/var/cache/bind"],
      },
    ]),
    extend(firewall, () => [openPort(53, { service: "DNS" }), openPort(53, { protocol: "udp", service: "DNS" })]),
    extend(checks, ({ statisticsPort }) => [
      unitActive("named.service"),
      portAnswers(53),
      ...(statisticsPort === undefined ? [] : [portAnswers(statisticsPort)]),
    ]),
  ],
});

function namedConf(options: Required<Bind9Options>): GeneratedFile {
  const { zones, secondaryZones, transferTo, recursionFor, forwarders } = options;
  return textFile(
    "named.conf",
    text`
      options {
        directory "/var/cache/bind";
        pid-file "/run/named/named.pid";
        session-keyfile "/run/named/session.key";
        listen-on { ${list(
          options.listenAddresses.filter((address) => isIP(address) === 4),
          options,
        )} };
        listen-on-v6 { ${list(
          options.listenAddresses.filter((address) => isIP(address) === 6),
          options,
        )} };
        allow-query { ${statements(options.allowQuery)} };
        recursion ${recursionFor.length > 0 ? "yes" : "no"};
        allow-recursion { ${recursionFor.length > 0 ? statements(recursionFor) : "none;"} };
        allow-transfer { ${transferTo.length > 0 ? statements(transferTo) : "none;"} };
        dnssec-validation ${options.dnssecValidation ? "auto" : "no"};
        ${forwarders.length > 0 ? `forwarders { ${statements(forwarders)} };\nforward only;` : ""}
        version none;
      };
      # Nobody steers it from outside: a change of its configuration is another system.
      controls { };
      ${
        options.statisticsPort === undefined
          ? ""
          : `statistics-channels { inet 127.0.0.1 port ${options.statisticsPort} allow { 127.0.0.1; }; };`
      }
      ${zones.map(
        (zone) => text`
          zone "${zone.name}" {
            type primary;
            file "${zoneFile(zone)}";
            ${transferTo.some((address) => isIP(address)) ? `also-notify { ${statements(transferTo.filter((one) => isIP(one)))} };` : ""}
          };
        `,
      )}
      ${secondaryZones.map(
        ({ name, primaries }) => text`
          zone "${name}" {
            type secondary;
            file "/var/cache/bind/${name}";
            primaries { ${primaries.map(({ address, port }) => `${address} port ${port};`).join(" ")} };
          };
        `,
      )}
      ${options.extraConfiguration}
    `,
  );
}

function zoneFile({ name, records }: Zone): GeneratedFile {
  return textFile(`${name}.zone`, `${records.join("\n")}\n`);
}

function list(some: readonly string[], { listenAddresses }: Required<Bind9Options>): string {
  return listenAddresses.length === 0 ? "any;" : some.length === 0 ? "none;" : statements(some);
}

function statements(words: readonly string[]): string {
  return words.map((word) => `${word};`).join(" ");
}

function twice(names: readonly string[]): string[] {
  return [...new Set(names.filter((name, index) => names.indexOf(name) !== index))];
}
