import { failure } from "../base/error.ts";
import type { Endpoint } from "../language/endpoint.ts";
import type { OperatingSystem } from "../language/operating-system.ts";
import { type PackageWish, packageName } from "../language/package-reference.ts";
import type { Secret } from "../language/secret.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { file, type PackageFile, text } from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { credentials } from "../system/essential-credentials.ts";
import { checks, commandSucceeds, portAnswers, profile, unitActive } from "../system/essential-profile.ts";
import { systemdUnits, type UnitWish, unit } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";
import { configurationArguments, postgresqlConf } from "./postgresql-configuration.ts";
import { postgresqlMistakes } from "./postgresql-mistakes.ts";
import { backup, type Cluster, declare, firstStart } from "./postgresql-programs.ts";
import { state, stateFolder } from "./state.ts";

/** A database that is there when the server has started. */
export interface PostgresqlDatabase {
  readonly name: string;
  /** A role; default `postgres`. */
  readonly owner?: string;
  /** `["pg_trgm", "postgis"]`; what is not in PostgreSQL itself needs its package. */
  readonly extensions?: readonly string[];
}

/** A role that can log in. */
export interface PostgresqlRole {
  readonly name: string;
  /** Without one, it is the user of that name of the machine itself, by the local socket. */
  readonly password?: Secret;
  /** Networks from which it may come, with its password: `["10.141.0.0/16"]`. */
  readonly from?: readonly string[];
  /** What it is allowed beside its databases: `["CREATEDB"]`. */
  readonly attributes?: readonly PostgresqlAttribute[];
  /** Roles whose rights it has too. */
  readonly memberOf?: readonly string[];
}

export type PostgresqlAttribute = "SUPERUSER" | "CREATEDB" | "CREATEROLE" | "REPLICATION" | "BYPASSRLS";

/** A server that follows this one. */
export interface PostgresqlStandby {
  /** Small letters, digits and _; what it has not got yet is kept for it. */
  readonly name: string;
  readonly address: string;
  /** By which it makes itself known; the same as in its `follows`. */
  readonly password: Secret;
}

/** The server that this one follows. */
export interface PostgresqlPrimary {
  readonly server: Endpoint<"postgresql">;
  /** This one's name among the standbys of that. */
  readonly name: string;
  readonly password: Secret;
}

/** Copies of what a server holds, made by a timer. */
export interface PostgresqlBackups {
  /** When: systemd.time(7), "Calendar events". */
  readonly at: string;
  /** `dump`: each database by pg_dump; `base`: the whole server as files, by pg_basebackup. */
  readonly kind: "dump" | "base";
  /** So many are kept. */
  readonly keep: number;
  readonly folder?: string;
}

export interface PostgresqlOptions {
  readonly version?: number | "debian";
  readonly databases?: readonly PostgresqlDatabase[];
  readonly roles?: readonly PostgresqlRole[];
  readonly packages?: readonly PackageWish[];
  readonly preloadLibraries?: readonly string[];
  readonly listenAddresses?: readonly string[];
  readonly port?: number;
  readonly allow?: readonly string[];
  readonly sharedBuffers?: string;
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  readonly standbys?: readonly PostgresqlStandby[];
  readonly follows?: PostgresqlPrimary | undefined;
  readonly backups?: PostgresqlBackups | undefined;
  readonly locale?: string;
}

/** PostgreSQL, with its data in a folder that outlives images; made at the first start, or copied from a primary. */
export const postgresql = serviceType<PostgresqlOptions>({
  name: "postgresql",
  description: "PostgreSQL server; its databases, roles, extensions, standbys and backups are declared.",
  options: {
    version: 'Major version. "debian" is the one of the suite; data of another version is left alone, and refused.',
    databases: "Databases that are made when they are not there, with their extensions. None is ever dropped.",
    roles: "Who may log in, from where. Roles that are not declared stay.",
    packages: "Packages of extensions: postgresql-17-postgis-3; or a package of one's own: timescaledb.",
    preloadLibraries: "Libraries that the server loads when it starts, as some extensions ask for.",
    listenAddresses: "Addresses to listen on; an empty list means the local socket alone.",
    port: "TCP port, and part of the socket's name.",
    allow: "Networks that the firewall lets in; an empty list means all.",
    sharedBuffers: "Memory for pages: 128MB; a quarter of a machine that does nothing else.",
    settings: "Further settings of postgresql.conf.",
    standbys: "Servers that follow this one.",
    follows: "The server that this one follows; what it has is copied at the first start. Taken away, it is promoted.",
    backups: "Copies by a timer.",
    locale: "Collation and character classes of new databases.",
  },
  defaults: {
    version: "debian",
    databases: [],
    roles: [],
    packages: [],
    preloadLibraries: [],
    listenAddresses: [],
    port: 5432,
    allow: [],
    sharedBuffers: "128MB",
    settings: {},
    standbys: [],
    follows: undefined,
    backups: undefined,
    locale: "C.UTF-8",
  },
  validate: (options) => postgresqlMistakes(options),
  extensions: [
    extend(profile, (options, os) => [`postgresql-${versionOf(options, os)}`, ...options.packages.map(packageName)]),
    extend(state, ({ backups }) => [
      stateFolder("/var/lib/postgresql", { user: "postgres", units: ["postgresql.service"] }),
      ...(backups
        ? [stateFolder(backupFolder(backups), { user: "postgres", mode: 0o700, units: ["postgresql-backup.service"] })]
        : []),
    ]),
    extend(systemdUnits, (options, os) => unitsOf(clusterOf(options, os))),
    extend(credentials, ({ roles, standbys, follows }) => [
      ...[...roles, ...standbys].flatMap(({ password }) =>
        password ? [{ secret: password, units: ["postgresql-declared.service"] }] : [],
      ),
      ...(follows ? [{ secret: follows.password, units: ["postgresql.service"] }] : []),
    ]),
    extend(configurationChecks, (options, os) => {
      const cluster = clusterOf(options, os);
      return [
        {
          name: "postgres",
          program: cluster.program("postgres"),
          arguments: ["-C", "port", ...configurationArguments(cluster)],
          reads: [`/usr/share/postgresql/${cluster.version}`, "/usr/share/zoneinfo"],
          loads: [`/usr/lib/postgresql/${cluster.version}/lib`],
          folders: [cluster.data],
        },
      ];
    }),
    extend(firewall, ({ listenAddresses, port, allow }) =>
      listenAddresses.length > 0 ? [openPort(port, { from: allow, service: "PostgreSQL" })] : [],
    ),
    extend(checks, ({ listenAddresses, port, backups }) => [
      unitActive("postgresql.service"),
      unitActive("postgresql-declared.service"),
      commandSucceeds("pg_isready", "--quiet", `--port=${port}`),
      ...(listenAddresses.length > 0 ? [portAnswers(port)] : []),
      ...(backups ? [unitActive("postgresql-backup.timer")] : []),
    ]),
  ],
});

const passwordFile = "/run/postgresql-standby/pgpass";

/** Debian releases have one each. */
const versions: Readonly<Record<string, number>> = { bookworm: 15, trixie: 17 };

function versionOf({ version }: Required<PostgresqlOptions>, { channel: { suite } }: OperatingSystem): number {
  const found = version === "debian" ? versions[suite] : version;
  if (found !== undefined) return found;
  throw failure("unknown-version", `nobody knows which PostgreSQL ${suite} has`, { expected: "version: a number" });
}

function backupFolder({ folder = "/var/backups/postgresql" }: PostgresqlBackups): string {
  return folder;
}

function clusterOf(options: Required<PostgresqlOptions>, os: OperatingSystem): Cluster {
  const version = versionOf(options, os);
  const program = (name: string, ofServer = true): PackageFile =>
    file(
      ofServer ? `postgresql-${version}` : `postgresql-client-${version}`,
      `/usr/lib/postgresql/${version}/bin/${name}`,
    );
  return {
    ...{ options, version, program, passwordFile },
    data: `/var/lib/postgresql/${version}/main`,
    backupFolder: options.backups && backupFolder(options.backups),
    configuration: postgresqlConf(options, passwordFile),
  };
}

function unitsOf(cluster: Cluster): UnitWish[] {
  const { backups } = cluster.options;
  return [
    unit({
      name: "postgresql.service",
      text: text`
        [Unit]
        Description=PostgreSQL ${cluster.version}
        ${cluster.options.listenAddresses.length > 0 ? "Wants=network-online.target\nAfter=network-online.target" : ""}
        RequiresMountsFor=/var/lib/postgresql

        [Service]
        Type=notify
        User=postgres
        Group=postgres
        ${cluster.options.follows ? "RuntimeDirectory=postgresql-standby\nRuntimeDirectoryMode=0700" : ""}
        ExecStartPre=${firstStart(cluster)}
        ExecStart=${cluster.program("postgres")} ${configurationArguments(cluster)
          .flatMap((word, index) => (index === 0 ? [word] : [" ", word]))
          .reduce((all, word) => text`${all}${word}`, text``)}
        ExecReload=/bin/kill -HUP $MAINPID
        KillMode=mixed
        KillSignal=SIGINT
        TimeoutSec=infinity
        OOMScoreAdjust=-900
        Environment=PG_OOM_ADJUST_FILE=/proc/self/oom_score_adj PG_OOM_ADJUST_VALUE=0

        [Install]
        WantedBy=multi-user.target
      `,
    }),
    unit({
      name: "postgresql-declared.service",
      text: text`
        [Unit]
        Description=Databases and roles of PostgreSQL
        Requires=postgresql.service
        After=postgresql.service
        PartOf=postgresql.service

        [Service]
        Type=oneshot
        RemainAfterExit=yes
        User=postgres
        Group=postgres
        ExecStart=${declare(cluster)}

        [Install]
        WantedBy=multi-user.target
      `,
    }),
    ...(backups
      ? [
          unit({
            name: "postgresql-backup.service",
            text: text`
              [Unit]
              Description=Copy of what PostgreSQL holds
              Requires=postgresql.service
              After=postgresql.service postgresql-declared.service

              [Service]
              Type=oneshot
              User=postgres
              Group=postgres
              UMask=0077
              ExecStart=${backup(cluster, backups)}
            `,
          }),
          unit({
            name: "postgresql-backup.timer",
            text: text`
              [Unit]
              Description=Copies of what PostgreSQL holds

              [Timer]
              OnCalendar=${backups.at}
              Persistent=yes

              [Install]
              WantedBy=timers.target
            `,
          }),
        ]
      : []),
  ];
}
