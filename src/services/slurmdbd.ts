import type { Endpoint } from "../language/endpoint.ts";
import type { Secret } from "../language/secret.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { type Text, text } from "../language/text.ts";
import { secretFile, secretFiles } from "../system/essential-credentials.ts";
import { etcFile, etcFiles, symlink } from "../system/essential-files.ts";
import { checks, portAnswers, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";
import { mariadbDeclaredUnit } from "./mariadb.ts";
import { munge } from "./munge.ts";
import { tokenKeyFiles, tokenKeyPath } from "./slurm.ts";

/** A database on another machine. */
export interface SlurmDatabase {
  readonly server: Endpoint<"mysql">;
  readonly password: Secret;
}

export interface SlurmdbdOptions {
  readonly database?: SlurmDatabase | "local";
  readonly databaseName?: string;
  readonly databaseUser?: string;
  readonly port?: number;
  readonly tokenKey?: Secret | undefined;
  readonly purge?: Readonly<Partial<Record<SlurmRecords, string>>>;
  readonly allow?: readonly string[];
  readonly extraConfiguration?: string;
}

/** What the accounting keeps, and may throw away when it is old. */
export type SlurmRecords = "events" | "jobs" | "reservations" | "steps" | "suspensions" | "transactions" | "usage";

const purges: Readonly<Record<SlurmRecords, string>> = {
  events: "PurgeEventAfter",
  jobs: "PurgeJobAfter",
  reservations: "PurgeResvAfter",
  steps: "PurgeStepAfter",
  suspensions: "PurgeSuspendAfter",
  transactions: "PurgeTXNAfter",
  usage: "PurgeUsageAfter",
};

/** The accounting of Slurm clusters, in MariaDB. */
export const slurmdbd = serviceType<SlurmdbdOptions>({
  name: "slurmdbd",
  description: "Accounting of Slurm clusters: who ran what, kept in MariaDB. The machine needs munge too.",
  options: {
    database: 'Where the records lie: "local" is the MariaDB of this machine, by its socket and without a password.',
    databaseName: "The database: mariadb({ databases: [{ name: … }] }).",
    databaseUser: "Who uses it there, with all privileges; with a local one, slurm, who slurmdbd is.",
    port: "TCP port to listen on.",
    tokenKey: "What tokens are signed with, where clusters have tokens.",
    purge: 'How long which records are kept: { jobs: "12month", steps: "2month" }; for ever unless said.',
    allow: "Networks that the firewall lets in; an empty list means all.",
    extraConfiguration: "Further lines of slurmdbd.conf(5).",
  },
  defaults: {
    database: "local",
    databaseName: "slurm_acct_db",
    databaseUser: "slurm",
    port: 6819,
    tokenKey: undefined,
    purge: {},
    allow: [],
    extraConfiguration: "",
  },
  validate: ({ database, databaseUser, purge }) => [
    ...(database === "local" && databaseUser !== "slurm"
      ? [
          {
            ...{ code: "wrong-value", field: "databaseUser", what: `found ${databaseUser}` },
            expected: "slurm, as the local server knows users of the machine by their own names",
          },
        ]
      : []),
    ...Object.entries(purge)
      .filter(([, age]) => !/^\d+(hour|day|month)s?$/.test(age))
      .map(([kind, age]) => ({
        ...{ code: "wrong-value", field: "purge", what: `found ${JSON.stringify(age)} for ${kind}` },
        expected: "a number of hours, days or months: 12month",
      })),
  ],
  extensions: [
    extend(munge, () => ["slurmdbd.service"]),
    extend(profile, ({ tokenKey }) => [
      ...["slurmdbd", "slurm-wlm-basic-plugins", "slurm-wlm-mysql-plugin"],
      ...(tokenKey ? ["slurm-wlm-jwt-plugin"] : []),
    ]),
    // It wants the file for itself, whether there is a password in it or not.
    extend(etcFiles, (options) => [
      options.database === "local"
        ? etcFile(configurationPath, slurmdbdConf(options), { mode: 0o600, user: "slurm", group: "slurm" })
        : symlink(configurationPath, secretPath),
    ]),
    extend(secretFiles, (options) => [
      ...tokenKeyFiles(options.tokenKey, "slurmdbd.service"),
      ...(options.database === "local"
        ? []
        : [
            secretFile({
              ...{ path: secretPath, content: slurmdbdConf(options), user: "slurm", units: ["slurmdbd.service"] },
              secrets: { PASSWORD: options.database.password },
            }),
          ]),
    ]),
    extend(systemdUnits, ({ database }) => [
      enableUnit("slurmdbd.service"),
      dropIn("slurmdbd.service", "meso", {
        text: text`
          [Unit]
          ${database === "local" ? `Wants=${mariadbDeclaredUnit}\nAfter=${mariadbDeclaredUnit}` : ""}

          [Service]
          Restart=on-failure
          RestartSec=5
        `,
      }),
    ]),
    extend(firewall, ({ port, allow }) => [openPort(port, { from: allow, service: "Slurm's accounting" })]),
    extend(checks, ({ port }) => [unitActive("slurmdbd.service"), portAnswers(port)]),
  ],
});

const configurationPath = "/etc/slurm/slurmdbd.conf";
const secretPath = "/run/slurmdbd-configuration/slurmdbd.conf";

function slurmdbdConf(options: Required<SlurmdbdOptions>): Text {
  const { database, databaseName, databaseUser, port, tokenKey, purge, extraConfiguration } = options;
  return text`
    AuthType=auth/munge
    ${tokenKey ? `AuthAltTypes=auth/jwt\nAuthAltParameters=jwt_key=${tokenKeyPath}` : ""}
    DbdHost=localhost
    DbdPort=${port}
    SlurmUser=slurm
    PidFile=/run/slurmdbd/slurmdbd.pid
    StorageType=accounting_storage/mysql
    ${
      database === "local"
        ? "StorageHost=localhost"
        : [`StorageHost=${database.server.address}`, `StoragePort=${database.server.port}`, "StoragePass=@PASSWORD@"]
    }
    StorageLoc=${databaseName}
    StorageUser=${databaseUser}
    ${Object.entries(purge)
      .map(([kind, age]) => `${purges[kind as SlurmRecords]}=${age}`)
      .sort()}
    ${extraConfiguration}
  `;
}
