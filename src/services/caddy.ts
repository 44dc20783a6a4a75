import type { Endpoint } from "../language/endpoint.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { bin, type GeneratedFile, type Text, text, textFile } from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { checks, portAnswers, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";
import { state, stateFolder } from "./state.ts";

/** A site by its address, and what is at which path of it. */
export interface CaddySite {
  /** `www.example.org` gets a certificate by itself; `http://www.example.org` and `:8080` do without. */
  readonly addresses: readonly string[];
  /** Files on the machine, in PEM form; or a certificate by an authority of the machine's own. */
  readonly tls?: { readonly certificate: string; readonly key: string } | "internal";
  readonly locations: readonly CaddyLocation[];
  readonly extraConfiguration?: string;
}

export type CaddyLocation = { readonly path: string } & (
  | { readonly root: string; readonly listing?: boolean }
  /** Passed on, to those that answer. */
  | { readonly proxyTo: readonly Endpoint<"http">[]; readonly healthPath?: string }
  | { readonly redirectTo: string }
);

export interface CaddyOptions {
  readonly sites: readonly CaddySite[];
  readonly email?: string | undefined;
  readonly extraConfiguration?: string;
}

/** Web server and reverse proxy that gets its certificates by itself. */
export const caddy = serviceType<CaddyOptions>({
  name: "caddy",
  description: "Web server and reverse proxy that gets its certificates by itself (Caddy).",
  options: {
    sites: "What is served: addresses, certificate, and at each path a folder, other servers or a redirection.",
    email: "Whom the authority tells about certificates.",
    extraConfiguration: "Further global options, and sites, in the words of a Caddyfile.",
  },
  defaults: { email: undefined, extraConfiguration: "" },
  validate: ({ sites }) =>
    sites
      .flatMap(({ addresses }) => (addresses.length === 0 ? ["no address"] : addresses))
      .filter((address) => portsOf(address) === undefined)
      .map((address) => ({
        ...{ code: "wrong-address", field: "sites", what: `found ${JSON.stringify(address)}` },
        expected: "www.example.org, http://www.example.org or :8080",
      })),
  extensions: [
    extend(profile, () => ["caddy"]),
    extend(state, () => [stateFolder("/var/lib/caddy", { user: "caddy", mode: 0o700, units: ["caddy.service"] })]),
    extend(systemdUnits, (options) => [
      enableUnit("caddy.service"),
      dropIn("caddy.service", "meso", {
        text: text`
          [Service]
          ExecStart=
          ExecStart=${bin("caddy", "caddy")} run --adapter caddyfile --config ${caddyfile(options)}
          ExecReload=
        `,
      }),
    ]),
    extend(configurationChecks, (options) => [
      {
        name: "caddy",
        program: bin("caddy", "caddy"),
        // To validate is to load certificates too, which are only on the machine.
        arguments: [
          options.sites.some(({ tls }) => typeof tls === "object") ? "adapt" : "validate",
          ...["--adapter", "caddyfile", "--config", caddyfile(options)],
        ],
      },
    ]),
    extend(firewall, ({ sites }) => sitePorts(sites).map((port) => openPort(port, { service: "web" }))),
    extend(checks, ({ sites }) => [unitActive("caddy.service"), ...sitePorts(sites).map((port) => portAnswers(port))]),
  ],
});

/** The ports that an address is served on: with TLS the one for who comes without it, too. */
function portsOf(address: string): number[] | undefined {
  const match = /^(?:(https?):\/\/)?([A-Za-z0-9*.-]+|\[[0-9a-f:]+\])?(?::(\d{1,5}))?$/.exec(address);
  if (!match || (match[2] === undefined && match[3] === undefined)) return undefined;
  if (match[3] !== undefined) return [Number(match[3])];
  return match[1] === "http" ? [80] : [80, 443];
}

function sitePorts(sites: readonly CaddySite[]): number[] {
  const all = sites.flatMap(({ addresses }) => addresses.flatMap((address) => portsOf(address) ?? []));
  return [...new Set(all)].sort((a, b) => a - b);
}

function caddyfile({ sites, email, extraConfiguration }: Required<CaddyOptions>): GeneratedFile {
  return textFile(
    "Caddyfile",
    text`
      {
        # Nobody steers it from outside: a change of its configuration is another system.
        admin off
        ${email === undefined ? "" : `email ${email}`}
      }
      ${extraConfiguration}
      ${sites.map(siteText)}
    `,
  );
}

function siteText({ addresses, tls, locations, extraConfiguration = "" }: CaddySite): Text {
  return text`
    ${addresses.join(", ")} {
      ${tls === undefined ? "" : tls === "internal" ? "tls internal" : `tls ${tls.certificate} ${tls.key}`}
      log
      ${locations.map(locationText)}
      ${extraConfiguration}
    }
  `;
}

function locationText(location: CaddyLocation): Text {
  const path = location.path === "/" ? "" : `${location.path.replace(/\/$/, "")}*`;
  if ("root" in location) {
    return text`
      handle ${path} {
        root * ${location.root}
        file_server${location.listing ? " browse" : ""}
      }
    `;
  }
  if ("redirectTo" in location) return text`handle ${path} {\n  redir * ${location.redirectTo}\n}`;
  const { proxyTo, healthPath } = location;
  const servers = proxyTo.map(({ address, port }) => `${address.includes(":") ? `[${address}]` : address}:${port}`);
  return text`
    handle ${path} {
      reverse_proxy ${servers.join(" ")} {
        lb_try_duration 5s
        ${healthPath === undefined ? "" : `health_uri ${healthPath}\nhealth_interval 2s`}
      }
    }
  `;
}
