import { extend, serviceType } from "../language/service-type.ts";
import { sbin, text, textFile } from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { checks, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";

export interface ChronyOptions {
  readonly servers?: readonly string[];
  readonly pools?: readonly string[];
  readonly allow?: readonly string[];
  readonly makeStepThreshold?: number;
  readonly extraConfiguration?: string;
}

/** The clock: chrony as NTP client, and as server where networks are allowed. */
export const chrony = serviceType<ChronyOptions>({
  name: "chrony",
  description: "Keeps the clock right by NTP; serves time to the networks that are allowed.",
  options: {
    servers: "NTP servers, by name or address.",
    pools: "Names that resolve to several NTP servers.",
    allow: "Networks that may ask this machine for the time, in CIDR notation.",
    makeStepThreshold: "In the first three updates, an offset above this is stepped and not slewed, in seconds.",
    extraConfiguration: "Further lines of chrony.conf(5).",
  },
  defaults: {
    servers: [],
    pools: ["2.debian.pool.ntp.org"],
    allow: [],
    makeStepThreshold: 1,
    extraConfiguration: "",
  },
  validate: ({ servers, pools }) =>
    servers.length + pools.length > 0
      ? []
      : [
          {
            code: "no-time-source",
            field: "servers",
            what: "no server and no pool is named",
            expected: "at least one",
          },
        ],
  extensions: [
    extend(profile, () => ["chrony"]),
    extend(etcFiles, (options) => [
      etcFile("/etc/chrony/chrony.conf", chronyConf(options), { replacesPackageFile: true }),
    ]),
    extend(systemdUnits, (options) => [
      enableUnit("chrony.service"),
      dropIn("chrony.service", "meso", {
        text: text`
          [Service]
          ExecStart=
          ExecStart=!${sbin("chrony", "chronyd")} -F 1 -f ${chronyConf(options)}
        `,
      }),
    ]),
    extend(configurationChecks, (options) => [
      {
        name: "chronyd",
        program: sbin("chrony", "chronyd"),
        arguments: ["-p", "-f", chronyConf(options)],
      },
    ]),
    extend(firewall, ({ allow }) =>
      allow.length > 0 ? [openPort(123, { protocol: "udp", from: allow, service: "NTP" })] : [],
    ),
    extend(checks, () => [unitActive("chrony.service")]),
  ],
});

function chronyConf(options: Required<ChronyOptions>) {
  return textFile(
    "chrony.conf",
    text`
      ${options.servers.map((server) => `server ${server} iburst`)}
      ${options.pools.map((pool) => `pool ${pool} iburst`)}
      ${options.allow.map((network) => `allow ${network}`)}
      driftfile /var/lib/chrony/chrony.drift
      ntsdumpdir /var/lib/chrony
      logdir /var/log/chrony
      maxupdateskew 100.0
      rtcsync
      makestep ${options.makeStepThreshold} 3
      ${options.extraConfiguration}
    `,
  );
}
