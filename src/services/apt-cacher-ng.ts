import type { Endpoint } from "../language/endpoint.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { type Text, text } from "../language/text.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { checks, portAnswers, profile, unitActive } from "../system/essential-profile.ts";
import { enableUnit, systemdUnits } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";
import { state, stateFolder } from "./state.ts";

/** A repository by a name of one's own: machines ask `http://cache:3142/NAME/…`. */
export interface CachedRepository {
  readonly name: string;
  /** Where it is; the next is asked while one does not answer. */
  readonly from: readonly string[];
  /** Addresses that machines may have in their settings, and that mean the same files. */
  readonly alsoKnownAs?: readonly string[];
}

export interface AptCacherNgOptions {
  readonly port?: number;
  readonly clients?: readonly string[];
  readonly repositories?: readonly CachedRepository[];
  readonly onlyRepositories?: boolean;
  readonly passThrough?: readonly string[];
  readonly proxy?: Endpoint<"http-proxy"> | undefined;
  readonly keepDays?: number;
  readonly extraConfiguration?: string;
}

/** Packages that many machines fetch, fetched once. */
export const aptCacherNg = serviceType<AptCacherNgOptions>({
  name: "apt-cacher-ng",
  description:
    "Proxy of package repositories, which keeps what it has fetched: for apt and debootstrap of many machines.",
  options: {
    port: "TCP port to listen on.",
    clients: "Networks whose machines may use it; an empty list means all.",
    repositories: "Repositories by a name of their own, and where they are: http://cache:3142/debian.",
    onlyRepositories: "Whether nothing but those is fetched.",
    passThrough: "Names of hosts to which encrypted connections are let through, unseen.",
    proxy: "A web proxy on the way outside.",
    keepDays: "How long a file is kept that no index names any more, in days.",
    extraConfiguration: "Further lines of acng.conf.",
  },
  defaults: {
    port: 3142,
    clients: [],
    repositories: [],
    onlyRepositories: false,
    passThrough: [],
    proxy: undefined,
    keepDays: 4,
    extraConfiguration: "",
  },
  validate: ({ repositories, onlyRepositories, passThrough, keepDays }) => [
    ...repositories
      .filter(({ name }) => !/^[a-z][a-z0-9-]*$/.test(name))
      .map(({ name }) => ({
        ...{ code: "wrong-name", field: "repositories", what: `found ${JSON.stringify(name)}` },
        expected: "lower-case letters, digits and -",
      })),
    ...repositories
      .flatMap(({ name, from, alsoKnownAs = [] }) =>
        from.length === 0 ? [`nowhere for ${name}`] : [...from, ...alsoKnownAs],
      )
      .filter((address) => !/^https?:\/\/[^\s;]+$/.test(address))
      .map((address) => ({
        ...{ code: "wrong-address", field: "repositories", what: `found ${address}` },
        expected: "http://… or https://…",
      })),
    ...passThrough
      .filter((name) => !/^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/.test(name))
      .map((name) => ({ code: "wrong-name", field: "passThrough", what: `found ${JSON.stringify(name)}` })),
    ...(onlyRepositories && repositories.length === 0
      ? [{ code: "missing-field", field: "repositories", what: "nothing may be fetched" }]
      : []),
    ...(Number.isInteger(keepDays) && keepDays >= 1
      ? []
      : [{ code: "wrong-value", field: "keepDays", what: `found ${keepDays}`, expected: "a whole number from 1" }]),
  ],
  extensions: [
    extend(profile, () => ["apt-cacher-ng"]),
    extend(state, () => [
      stateFolder("/var/cache/apt-cacher-ng", {
        ...{ user: "apt-cacher-ng", mode: 0o2755, units: ["apt-cacher-ng.service"] },
      }),
    ]),
    extend(etcFiles, (options) => [
      etcFile("/etc/apt-cacher-ng/acng.conf", acngConf(options), { replacesPackageFile: true }),
    ]),
    extend(systemdUnits, () => [enableUnit("apt-cacher-ng.service")]),
    extend(firewall, ({ port, clients }) => [openPort(port, { from: clients, service: "package cache" })]),
    extend(checks, ({ port }) => [unitActive("apt-cacher-ng.service"), portAnswers(port)]),
  ],
});

function acngConf(options: Required<AptCacherNgOptions>): Text {
  const { port, repositories, onlyRepositories, passThrough, proxy, keepDays, extraConfiguration } = options;
  const patterns = passThrough.map((name) => name.replaceAll(".", "\\."));
  return text`
    CacheDir: /var/cache/apt-cacher-ng
    LogDir: /var/log/apt-cacher-ng
    SupportDir: /usr/lib/apt-cacher-ng
    Port: ${port}
    ${repositories.map(
      ({ name, from, alsoKnownAs = [] }) =>
        `Remap-${name}: ${[`/${name}`, ...alsoKnownAs].join(" ")} ; ${from.map((one) => `${one.replace(/\/$/, "")}/`).join(" ")}`,
    )}
    ForceManaged: ${onlyRepositories ? 1 : 0}
    ${proxy ? `Proxy: http://${proxy.address.includes(":") ? `[${proxy.address}]` : proxy.address}:${proxy.port}` : ""}
    ${patterns.length > 0 ? `PassThroughPattern: ^(${patterns.join("|")}):443$` : ""}
    ExThreshold: ${keepDays}
    FollowIndexFileRemoval: 1
    ReportPage: acng-report.html
    ${extraConfiguration}
  `;
}
