import type { Endpoint } from "../language/endpoint.ts";
import { extend, type Received, serviceType } from "../language/service-type.ts";
import { type GeneratedFile, sbin, type Text, text, textFile } from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { checks, portAnswers, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";

export interface NginxSite {
  /** Names it answers to; none: whatever it is called. */
  readonly names?: readonly string[];
  /** Default 80, or 443 with `tls`. */
  readonly port?: number;
  /** Files on the machine, in PEM form; the key's is never part of an image. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  readonly locations: readonly NginxLocation[];
  readonly extraConfiguration?: string;
}

/** What is at a path, and below it. */
export type NginxLocation = { readonly path: string; readonly extraConfiguration?: string } & (
  | { readonly root: string; readonly listing?: boolean }
  /** Passed on, in turn to each. */
  | { readonly proxyTo: readonly Endpoint<"http">[] }
  | { readonly redirectTo: string }
);

export interface NginxOptions {
  readonly sites?: readonly NginxSite[];
  readonly workerConnections?: number;
  readonly largestRequest?: string;
  readonly statusPort?: number | undefined;
  readonly extraConfiguration?: string;
}

/** Web server and reverse proxy. Services may send sites of their own. */
export const nginx = serviceType<NginxOptions, readonly NginxSite[]>({
  name: "nginx",
  description: "Web server and reverse proxy.",
  options: {
    sites: "What is served: names, port, certificate, and at each path a folder, other servers or a redirection.",
    workerConnections: "Connections that each worker holds at once.",
    largestRequest: "Largest body of a request: 1m, 100m; 0 for any.",
    statusPort: "Port, on this machine alone, that tells how many connections and requests there were: for exporters.",
    extraConfiguration: "Further directives of the http block.",
  },
  defaults: {
    sites: [],
    workerConnections: 1024,
    largestRequest: "1m",
    statusPort: undefined,
    extraConfiguration: "",
  },
  extend: (options, received: readonly Received<readonly NginxSite[]>[]) => ({
    ...options,
    sites: [...options.sites, ...received.flatMap(({ value }) => value)],
  }),
  extensions: [
    extend(profile, () => ["nginx"]),
    extend(etcFiles, (options) => [
      etcFile("/etc/nginx/nginx.conf", nginxConf(options), { replacesPackageFile: true }),
    ]),
    extend(systemdUnits, (options) => {
      const start = text`${sbin("nginx", "nginx")} -c ${nginxConf(options)} -g '${onMachine}'`;
      return [
        enableUnit("nginx.service"),
        dropIn("nginx.service", "meso", {
          text: text`
            [Service]
            ExecStartPre=
            ExecStartPre=${sbin("nginx", "nginx")} -t -q -c ${nginxConf(options)} -g '${onMachine}'
            ExecStart=
            ExecStart=${start}
            ExecReload=
            ExecReload=${start} -s reload
          `,
        }),
      ];
    }),
    // A certificate is only on the machine: nginx -t refuses what it cannot read.
    extend(configurationChecks, (options) =>
      options.sites.some(({ tls }) => tls)
        ? []
        : [
            {
              name: "nginx",
              program: sbin("nginx", "nginx"),
              arguments: ["-t", "-e", "stderr", "-g", "user root;", "-c", nginxConf(options)],
              reads: ["/etc/nginx"],
              folders: ["/var/lib/nginx", "/var/log/nginx"],
              // It opens what it would listen on, and only root may open ports below 1024.
              asRoot: true,
            },
          ],
    ),
    extend(firewall, ({ sites }) => sites.map((site) => openPort(portOf(site), { service: "web" }))),
    extend(checks, ({ sites, statusPort }) => [
      unitActive("nginx.service"),
      ...[...new Set([...sites.map(portOf), ...(statusPort === undefined ? [] : [statusPort])])].map((port) =>
        portAnswers(port),
      ),
    ]),
  ],
});

/** What is said beside the configuration, since where that is judged there are no other accounts. */
const onMachine = "daemon on; master_process on; user www-data;";

function portOf({ port, tls }: NginxSite): number {
  return port ?? (tls ? 443 : 80);
}

function nginxConf(options: Required<NginxOptions>): GeneratedFile {
  return textFile(
    "nginx.conf",
    text`
      worker_processes auto;
      pid /run/nginx.pid;
      error_log syslog:server=unix:/dev/log,nohostname;
      events {
        worker_connections ${options.workerConnections};
      }
      http {
        include /etc/nginx/mime.types;
        default_type application/octet-stream;
        sendfile on;
        tcp_nopush on;
        server_tokens off;
        client_max_body_size ${options.largestRequest};
        ssl_protocols TLSv1.2 TLSv1.3;
        access_log syslog:server=unix:/dev/log,nohostname;
        ${options.extraConfiguration}
        ${options.sites.map(siteText)}
        ${
          options.statusPort === undefined
            ? ""
            : `server {\n  listen 127.0.0.1:${options.statusPort};\n  access_log off;\n  location = / { stub_status; }\n}`
        }
      }
    `,
  );
}

function siteText(site: NginxSite, index: number): Text {
  const { names = [], tls, locations, extraConfiguration = "" } = site;
  const upstreams = locations.flatMap((location, place) =>
    "proxyTo" in location
      ? [
          text`
            upstream site${index}-${place} {
              ${location.proxyTo.map(({ address, port }) => `server ${bracketed(address)}:${port};`)}
            }
          `,
        ]
      : [],
  );
  return text`
    ${upstreams}
    server {
      listen ${portOf(site)}${tls ? " ssl" : ""};
      listen [::]:${portOf(site)}${tls ? " ssl" : ""};
      server_name ${names.length > 0 ? names.join(" ") : "_"};
      ${tls ? `ssl_certificate ${tls.certificate};\nssl_certificate_key ${tls.key};` : ""}
      ${extraConfiguration}
      ${locations.map((location, place) => locationText(location, `site${index}-${place}`))}
    }
  `;
}

function locationText(location: NginxLocation, upstream: string): Text {
  return text`
    location ${location.path} {
      ${
        "root" in location
          ? `root ${location.root};\nautoindex ${location.listing ? "on" : "off"};`
          : "redirectTo" in location
            ? `return 301 ${location.redirectTo};`
            : [
                `proxy_pass http://${upstream};`,
                "proxy_http_version 1.1;",
                "proxy_set_header Host $host;",
                "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
                "proxy_set_header X-Forwarded-Proto $scheme;",
              ]
      }
      ${location.extraConfiguration ?? ""}
    }
  `;
}

function bracketed(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}
