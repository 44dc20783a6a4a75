import type { Endpoint } from "../language/endpoint.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { type GeneratedFile, sbin, type Text, text, textFile } from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { checks, portAnswers, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";

/** A port of this machine behind which several servers stand. */
export interface BalancedPort {
  readonly name: string;
  readonly port: number;
  /** http sees requests, and can ask a path whether a server works; tcp sees connections only. */
  readonly mode?: "http" | "tcp";
  readonly servers: readonly Endpoint[];
  readonly balance?: "roundrobin" | "leastconn" | "source";
  /** Path that a working server answers with 2xx or 3xx; http only. */
  readonly healthPath?: string;
  readonly extraConfiguration?: string;
}

export interface HaproxyOptions {
  readonly ports: readonly BalancedPort[];
  readonly largestNumberOfConnections?: number;
  readonly timeout?: string;
  readonly statisticsPort?: number | undefined;
  readonly metricsPort?: number | undefined;
  readonly scrapers?: readonly string[];
  readonly extraConfiguration?: string;
}

/** Load balancer, which leaves out servers that do not work. */
export const haproxy = serviceType<HaproxyOptions>({
  name: "haproxy",
  description: "Load balancer for TCP and HTTP, which leaves out servers that do not work.",
  options: {
    ports: "Ports of this machine, and the servers behind each.",
    largestNumberOfConnections: "Connections at once.",
    timeout: "How long a side may be silent: 30s, 5m.",
    statisticsPort: "Port of a page, on this machine alone, that tells the state of each server.",
    metricsPort: "Port where Prometheus is told the same in figures, at /metrics.",
    scrapers: "Addresses and networks that the firewall lets ask there; an empty list means all.",
    extraConfiguration: "Further sections of haproxy.cfg.",
  },
  defaults: {
    largestNumberOfConnections: 4096,
    timeout: "1m",
    statisticsPort: undefined,
    metricsPort: undefined,
    scrapers: [],
    extraConfiguration: "",
  },
  validate: ({ ports }) => [
    ...ports
      .filter(({ name }) => !/^[A-Za-z0-9_.:-]+$/.test(name))
      .map(({ name }) => ({
        code: "wrong-name",
        field: "ports",
        what: `found ${JSON.stringify(name)}`,
        expected: "letters, digits, . _ : and -",
      })),
    ...ports
      .filter(({ servers }) => servers.length === 0)
      .map(({ name }) => ({ code: "missing-field", field: "ports", what: `no server is behind ${name}` })),
  ],
  extensions: [
    extend(profile, () => ["haproxy"]),
    extend(etcFiles, (options) => [
      etcFile("/etc/haproxy/haproxy.cfg", haproxyConf(options), { replacesPackageFile: true }),
    ]),
    extend(systemdUnits, (options) => [
      enableUnit("haproxy.service"),
      dropIn("haproxy.service", "meso", { text: text`[Service]\nEnvironment=CONFIG=${haproxyConf(options)}\n` }),
    ]),
    extend(configurationChecks, (options) => [
      { name: "haproxy", program: sbin("haproxy", "haproxy"), arguments: ["-c", "-f", haproxyConf(options)] },
    ]),
    extend(firewall, ({ ports, metricsPort, scrapers }) => [
      ...ports.map(({ name, port }) => openPort(port, { service: name })),
      ...(metricsPort === undefined ? [] : [openPort(metricsPort, { from: scrapers, service: "haproxy's metrics" })]),
    ]),
    extend(checks, ({ ports, metricsPort }) => [
      unitActive("haproxy.service"),
      ...ports.map(({ port }) => portAnswers(port)),
      ...(metricsPort === undefined ? [] : [portAnswers(metricsPort)]),
    ]),
  ],
});

function haproxyConf(options: Required<HaproxyOptions>): GeneratedFile {
  return textFile(
    "haproxy.cfg",
    text`
      global
        log /dev/log local0
        user haproxy
        group haproxy
        maxconn ${options.largestNumberOfConnections}
      defaults
        log global
        timeout connect 5s
        timeout client ${options.timeout}
        timeout server ${options.timeout}
        option redispatch
      ${options.ports.map(listenText)}
      ${
        options.statisticsPort === undefined
          ? ""
          : `frontend statistics\n  mode http\n  bind 127.0.0.1:${options.statisticsPort}\n  stats enable\n  stats uri /`
      }
      ${
        options.metricsPort === undefined
          ? ""
          : `frontend metrics\n  mode http\n  bind :::${options.metricsPort} v4v6\n  http-request use-service prometheus-exporter if { path /metrics }\n  http-request return status 404`
      }
      ${options.extraConfiguration}
    `,
  );
}

function listenText(one: BalancedPort): Text {
  const { name, port, mode = "tcp", servers, balance = "roundrobin", healthPath, extraConfiguration = "" } = one;
  return text`
    listen ${name}
      mode ${mode}
      bind :::${port} v4v6
      balance ${balance}
      ${mode === "http" ? "option httplog\noption forwardfor" : "option tcplog"}
      ${mode === "http" && healthPath !== undefined ? `option httpchk GET ${healthPath}` : ""}
      ${servers.map((server) => `server ${server.hostName}-${server.port} ${server.address}:${server.port} check inter 2s fall 2 rise 2`)}
      ${extraConfiguration}
  `;
}
