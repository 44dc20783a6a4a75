import { compareBytes } from "../base/order.ts";
import type { Host } from "../language/name-resolution.ts";
import { extend } from "../language/service-type.ts";
import { etcFile, etcFiles } from "./essential-files.ts";
import { collector } from "./essential-part.ts";

/** Lines of /etc/hosts, made by `host`. */
export const hosts = collector<Host>({
  name: "hosts",
  description: "Names of hosts that are known without asking (/etc/hosts).",
  extensions: [
    extend(etcFiles, ({ items }, { hostName }) => [
      etcFile(
        "/etc/hosts",
        hostsText(
          hostName,
          items.map(({ value }) => value),
        ),
        { replacesPackageFile: true },
      ),
    ]),
  ],
});

/** A source for a database of nsswitch.conf(5), with what follows it: `resolve [!UNAVAIL=return]`. */
export interface NameSource {
  readonly database: string;
  readonly source: string;
  /** Smaller is asked earlier: `files` has 100, `dns` 500. */
  readonly priority: number;
}

/** Sources of users, hosts and other names. */
export const nameServiceSwitch = collector<NameSource>({
  name: "name-service-switch",
  description: "Where users, groups, hosts and other names are looked up (/etc/nsswitch.conf).",
  extensions: [
    extend(etcFiles, ({ items }) => [
      etcFile("/etc/nsswitch.conf", switchText(items.map(({ value }) => value)), { replacesPackageFile: true }),
    ]),
  ],
});

/** The template of Debian's libc-bin. */
export const standardSources: readonly NameSource[] = [
  ...["passwd", "group", "shadow", "gshadow", "hosts", "networks"].map((database) => source(database, "files", 100)),
  source("hosts", "dns", 500),
  ...["protocols", "services", "ethers", "rpc"].flatMap((database) => [
    source(database, "db", 50),
    source(database, "files", 100),
  ]),
  source("netgroup", "nis", 500),
];

function source(database: string, name: string, priority: number): NameSource {
  return { database, source: name, priority };
}

function hostsText(hostName: string, given: readonly Host[]): string {
  const isNamed = given.some(({ names }) => names.includes(hostName));
  const lines = [
    ["127.0.0.1", "localhost"],
    // Debian's convention for a machine without an address of its own in this file.
    ...(isNamed ? [] : [["127.0.1.1", hostName]]),
    ["::1", "localhost", "ip6-localhost", "ip6-loopback"],
    ["ff02::1", "ip6-allnodes"],
    ["ff02::2", "ip6-allrouters"],
    ...given.map(({ address, names }) => [address, ...names]),
  ];
  return `${lines.map((line) => line.join("\t")).join("\n")}\n`;
}

function switchText(sources: readonly NameSource[]): string {
  const databases = [...new Set(sources.map(({ database }) => database))].sort(compareBytes);
  const lines = databases.map((database) => {
    const asked = sources
      .filter((candidate) => candidate.database === database)
      .sort((a, b) => a.priority - b.priority || compareBytes(a.source, b.source));
    return `${`${database}:`.padEnd(16)}${[...new Set(asked.map((candidate) => candidate.source))].join(" ")}\n`;
  });
  return lines.join("");
}
