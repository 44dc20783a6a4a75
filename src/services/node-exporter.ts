import { extend, serviceType } from "../language/service-type.ts";
import { bin, text } from "../language/text.ts";
import { checks, portAnswers, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";

export interface NodeExporterOptions {
  readonly port?: number;
  readonly scrapers?: readonly string[];
  readonly collectors?: readonly string[];
  readonly withoutCollectors?: readonly string[];
  readonly textFiles?: string;
}

/** What the machine is doing, for Prometheus. */
export const nodeExporter = serviceType<NodeExporterOptions>({
  name: "node-exporter",
  description: "Tells Prometheus what the machine is doing: processors, memory, disks, network, file systems.",
  options: {
    port: "TCP port to listen on.",
    scrapers: "Addresses and networks that may ask; an empty list means all.",
    collectors: "Collectors beside those that are on by themselves: systemd, processes, ethtool.",
    withoutCollectors: "Collectors that are left out: wifi, zfs.",
    textFiles: "Folder of *.prom files with further figures, written by whatever knows them.",
  },
  defaults: {
    port: 9100,
    scrapers: [],
    collectors: ["systemd"],
    withoutCollectors: [],
    textFiles: "/var/lib/prometheus/node-exporter",
  },
  validate: ({ port, collectors, withoutCollectors }) => [
    ...(Number.isInteger(port) && port >= 1 && port <= 65535
      ? []
      : [
          { code: "wrong-port", field: "port", what: `found the port ${port}`, expected: "a whole number, 1 to 65535" },
        ]),
    ...Object.entries({ collectors, withoutCollectors }).flatMap(([field, names]) =>
      names
        .filter((name) => !/^[a-z0-9_]+(\.[a-z0-9-]+(=\S+)?)?$/.test(name))
        .map((name) => ({
          ...{ code: "wrong-name", field, what: `found ${JSON.stringify(name)}` },
          expected: "the name of a collector: systemd",
        })),
    ),
  ],
  extensions: [
    extend(profile, () => ["prometheus-node-exporter"]),
    extend(systemdUnits, ({ port, collectors, withoutCollectors, textFiles }) => [
      enableUnit("prometheus-node-exporter.service"),
      dropIn("prometheus-node-exporter.service", "meso", {
        text: text`
          [Service]
          EnvironmentFile=
          ExecStart=
          ExecStart=${bin("prometheus-node-exporter", "prometheus-node-exporter")} ${[
            `--web.listen-address=:${port}`,
            `--collector.textfile.directory=${textFiles}`,
            ...[...collectors].sort().map((name) => `--collector.${name}`),
            ...[...withoutCollectors].sort().map((name) => `--no-collector.${name}`),
          ].join(" ")}
        `,
      }),
    ]),
    extend(firewall, ({ port, scrapers }) => [openPort(port, { from: scrapers, service: "node exporter" })]),
    extend(checks, ({ port }) => [unitActive("prometheus-node-exporter.service"), portAnswers(port)]),
  ],
});
