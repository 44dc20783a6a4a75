import { extend, serviceType } from "../language/service-type.ts";
import { type GeneratedFile, sbin, text, textFile } from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { checks, portAnswers, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";

export interface SquidOptions {
  readonly clients: readonly string[];
  readonly allowedSites: readonly string[] | "all";
  readonly port?: number;
  readonly ports?: readonly number[];
  readonly memory?: string;
  readonly extraConfiguration?: string;
}

/** The way to the web for machines that have none, to the sites on a list. */
export const squid = serviceType<SquidOptions>({
  name: "squid",
  description:
    "Web proxy: lets the machines of some networks reach the sites on a list, and nobody else anything else.",
  options: {
    clients: "Networks whose machines may use it.",
    allowedSites: 'Names of sites; ".example.org" stands for all below it too. "all" for any.',
    port: "TCP port to listen on.",
    ports: "Ports of sites that may be reached.",
    memory: "Memory for what was fetched: 64 MB.",
    extraConfiguration: "Further lines of squid.conf, before its rules.",
  },
  defaults: { port: 3128, ports: [80, 443], memory: "64 MB", extraConfiguration: "" },
  validate: ({ allowedSites, clients }) => [
    ...(allowedSites === "all" ? [] : allowedSites)
      .filter((name) => !/^\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/.test(name))
      .map((name) => ({
        ...{ code: "wrong-name", field: "allowedSites", what: `found ${JSON.stringify(name)}` },
        expected: "a name without scheme and path: deb.example.org, .example.org",
      })),
    ...(clients.length > 0
      ? []
      : [{ code: "missing-field", field: "clients", what: "nobody may use it", expected: "networks: 10.0.0.0/8" }]),
  ],
  extensions: [
    extend(profile, () => ["squid"]),
    extend(etcFiles, (options) => [
      etcFile("/etc/squid/squid.conf", squidConf(options), { replacesPackageFile: true }),
    ]),
    extend(systemdUnits, (options) => [
      enableUnit("squid.service"),
      dropIn("squid.service", "meso", {
        text: text`
          [Service]
          ExecStartPre=
          ExecStart=
          ExecStart=${sbin("squid", "squid")} --foreground -sYC -f ${squidConf(options)}
        `,
      }),
    ]),
    extend(configurationChecks, (options) => [
      {
        name: "squid",
        program: sbin("squid", "squid"),
        arguments: ["-k", "parse", "-f", squidConf(options)],
        reads: ["/etc/squid", "/usr/share/squid"],
        loads: ["/usr/lib/squid"],
        folders: ["/var/log/squid", "/var/spool/squid"],
      },
    ]),
    extend(firewall, ({ port, clients }) => [openPort(port, { from: clients, service: "web proxy" })]),
    extend(checks, ({ port }) => [unitActive("squid.service"), portAnswers(port)]),
  ],
});

function squidConf({
  clients,
  allowedSites,
  port,
  ports,
  memory,
  extraConfiguration,
}: Required<SquidOptions>): GeneratedFile {
  const names = allowedSites === "all" ? [] : [...allowedSites].sort();
  return textFile(
    "squid.conf",
    text`
      http_port ${port}
      acl clients src ${[...clients].sort().join(" ")}
      acl open_ports port ${[...ports].sort((a, b) => a - b).join(" ")}
      acl encrypted method CONNECT
      ${ports.includes(443) ? "acl encrypted_ports port 443" : ""}
      ${names.length > 0 ? `acl allowed_sites dstdomain ${names.join(" ")}` : ""}
      ${extraConfiguration}
      http_access deny !open_ports
      http_access deny encrypted${ports.includes(443) ? " !encrypted_ports" : ""}
      http_access deny to_localhost
      ${allowedSites === "all" ? "http_access allow clients" : names.length > 0 ? "http_access allow clients allowed_sites" : ""}
      http_access deny all
      cache_mem ${memory}
      access_log syslog:daemon.info squid
      coredump_dir /var/spool/squid
      shutdown_lifetime 3 seconds
    `,
  );
}
