import type { Complaint } from "../language/complaint.ts";
import type { Endpoint } from "../language/endpoint.ts";
import type { Secret } from "../language/secret.ts";
import { extend, serviceType } from "../language/service-type.ts";
import {
  bin,
  type GeneratedFile,
  type PackageFile,
  programFile,
  sbin,
  type Text,
  text,
  textFile,
} from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { credentials, secretFile, secretFiles } from "../system/essential-credentials.ts";
import { etcFiles, symlink } from "../system/essential-files.ts";
import { checks, portAnswers, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits, unit } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";
import { mariadbDeclaredUnit } from "./mariadb.ts";

/**
 * Where hosts, items and their values are. Without a server it is one on the machine itself, which knows the user
 * `zabbix` by its socket and needs no password.
 */
export type ZabbixDatabase =
  | {
      readonly kind: "mariadb";
      readonly server?: Endpoint<"mysql">;
      readonly name?: string;
      readonly password?: Secret;
    }
  | {
      readonly kind: "postgresql";
      readonly server?: Endpoint<"postgresql">;
      readonly name?: string;
      readonly password?: Secret;
    };

export interface ZabbixServerOptions {
  readonly database: ZabbixDatabase;
  readonly administratorPassword: Secret;
  readonly port?: number;
  readonly clients?: readonly string[];
  readonly cacheSize?: string;
  readonly settings?: Readonly<Record<string, string | number>>;
}

/** Asks and hears what machines are doing, keeps it, and raises alarms. */
export const zabbixServer = serviceType<ZabbixServerOptions>({
  name: "zabbix-server",
  description: "Zabbix server: hears from agents what machines are doing, keeps it in a database, and raises alarms.",
  options: {
    database: 'MariaDB or PostgreSQL, here or elsewhere: { kind: "mariadb" }. What is missing in it is made once.',
    administratorPassword: "First password of the account Admin of the front end; a secret.",
    port: "TCP port to listen on.",
    clients: "Networks whose agents and proxies may come; an empty list means all.",
    cacheSize: "Memory for hosts and items: 32M; more for thousands of machines.",
    settings: "Further settings of zabbix_server.conf: { StartPollers: 20 }.",
  },
  defaults: { port: 10051, clients: [], cacheSize: "32M", settings: {} },
  validate: mistakes,
  extensions: [
    extend(profile, ({ database: { kind } }) =>
      kind === "mariadb"
        ? ["zabbix-server-mysql", "fping", "mariadb-client"]
        : ["zabbix-server-pgsql", "fping", "postgresql-client"],
    ),
    extend(credentials, ({ administratorPassword, database: { password } }) =>
      [administratorPassword, ...(password ? [password] : [])].map((secret) => ({ secret, units: [firstUnit] })),
    ),
    extend(secretFiles, ({ database: { password } }) =>
      password
        ? [
            secretFile({
              ...{ path: passwordFile, content: "DBPassword=@PASSWORD@\n", secrets: { PASSWORD: password } },
              ...{ user: "zabbix", units: ["zabbix-server.service"] },
            }),
          ]
        : [],
    ),
    // Where zabbix_server -R, by which people steer it, looks for it.
    extend(etcFiles, (options) => [symlink("/etc/zabbix/zabbix_server.conf", serverConf(options, "running"))]),
    extend(systemdUnits, (options) => [
      enableUnit("zabbix-server.service"),
      dropIn("zabbix-server.service", "meso", {
        text: text`
          [Unit]
          Wants=network-online.target
          After=network-online.target ${firstUnit}
          Requires=${firstUnit}

          [Service]
          ExecStart=
          ExecStart=${program(options)} --foreground --config ${serverConf(options, "running")}
          Restart=on-failure
          RestartSec=2s
        `,
      }),
      unit({
        name: firstUnit,
        text: text`
          [Unit]
          Description=Tables of the Zabbix server
          Wants=${before(options)}
          After=${before(options)}

          [Service]
          Type=oneshot
          RemainAfterExit=yes
          User=zabbix
          TimeoutStartSec=infinity
          ExecStart=${firstProgram(options)}
          Restart=on-failure
          RestartMode=direct
          RestartSec=5s
        `,
      }),
    ]),
    extend(configurationChecks, (options, { channel }) => {
      // Only since Zabbix 7.0 a configuration can be looked at.
      if (channel.suite === "bookworm") return [];
      const conf = serverConf(options, "judged");
      return [{ name: "zabbix_server", program: program(options), arguments: ["--test-config", "--config", conf] }];
    }),
    extend(firewall, ({ port, clients }) => [openPort(port, { from: clients, service: "Zabbix server" })]),
    extend(checks, ({ port }) => [unitActive("zabbix-server.service"), portAnswers(port)]),
  ],
});

const firstUnit = "zabbix-database.service";
const passwordFile = "/run/zabbix-secrets/database.conf";

function mistakes({ database: { server, password, name = "zabbix" } }: Required<ZabbixServerOptions>): Complaint[] {
  return [
    ...(server && !password
      ? [
          {
            ...{ code: "missing-field", field: "database", what: `${server.hostName} knows nobody without a password` },
            expected: 'password: secret("…")',
          },
        ]
      : []),
    ...(/^[a-z_][a-z0-9_]*$/.test(name)
      ? []
      : [{ code: "wrong-name", field: "database", what: `found ${JSON.stringify(name)}`, expected: "zabbix" }]),
  ];
}

function program({ database: { kind } }: Pick<ZabbixServerOptions, "database">): PackageFile {
  return sbin(kind === "mariadb" ? "zabbix-server-mysql" : "zabbix-server-pgsql", "zabbix_server");
}

/** `judged` is how it looks without its password. */
function serverConf(options: Required<ZabbixServerOptions>, kind: "running" | "judged"): GeneratedFile {
  const { database, port, cacheSize, settings } = options;
  const { server, password, name = "zabbix" } = database;
  const socket = database.kind === "mariadb" ? "DBHost=localhost\nDBSocket=/run/mysqld/mysqld.sock" : "DBHost=";
  return textFile(
    "zabbix_server.conf",
    text`
      LogType=console
      PidFile=/run/zabbix/zabbix_server.pid
      SocketDir=/run/zabbix
      ListenPort=${port}
      ${server ? `DBHost=${server.address}\nDBPort=${server.port}` : socket}
      DBName=${name}
      DBUser=zabbix
      ${password && kind === "running" ? `Include=${passwordFile}` : ""}
      CacheSize=${cacheSize}
      AlertScriptsPath=/etc/zabbix/alert.d
      FpingLocation=/usr/bin/fping
      StatsAllowedIP=127.0.0.1
      ${Object.keys(settings)
        .sort()
        .map((key) => `${key}=${settings[key]}`)}
    `,
  );
}

/** The network, or the database of the machine itself. */
function before({ database: { kind, server } }: Required<ZabbixServerOptions>): string {
  if (server) return "network-online.target";
  return kind === "mariadb" ? mariadbDeclaredUnit : "postgresql-declared.service";
}

/** Makes tables where there are none. What was cut short is begun anew. */
function firstProgram({ database, administratorPassword }: Required<ZabbixServerOptions>): GeneratedFile {
  const isMariadb = database.kind === "mariadb";
  return programFile(
    "zabbix-tables",
    text`
      #!/bin/sh
      set -eu
      ${isMariadb ? mariadbStart(database) : postgresqlStart(database)}
      # Nobody can log in with the password that everybody knows.
      hash=$(perl -e 'open(my $random, "<", "/dev/urandom") or die; read($random, my $bytes, 21);
        my $salt = join("", map { (".", "/", "A".."Z", "a".."z", 0..9)[ord($_) % 64] } split(//, $bytes));
        local $/; open(my $file, "<", $ARGV[0]) or die; my $password = <$file>; $password =~ s/\\r?\\n\\z//;
        my $hash = crypt($password, "\\$2y\\$10\\$$salt."); die "no hash\\n" unless $hash =~ /^.{60}\\z/; print $hash' "$CREDENTIALS_DIRECTORY/${administratorPassword.name}")
      ${isMariadb ? mariadbLoad(database) : postgresqlLoad()}
    `,
  );
}

const tables = (folder: string): string =>
  `zcat ${["schema", "images", "data"].map((name) => `/usr/share/${folder}/${name}.sql.gz`).join(" ")}`;

const setPassword = `echo "UPDATE users SET passwd='$hash' WHERE username='Admin';"`;

/** MariaDB cannot take back a table that was made: one more table says that not all are there yet. */
function mariadbStart({ server, password, name = "zabbix" }: ZabbixDatabase): Text {
  const where = server ? `--host=${server.address} --port=${server.port}` : "--socket=/run/mysqld/mysqld.sock";
  const say = `--no-defaults ${where} --user=zabbix --default-character-set=utf8mb4 --batch --skip-column-names`;
  return text`
    ${password ? `export MYSQL_PWD="$(cat "$CREDENTIALS_DIRECTORY/${password.name}")"` : ""}
    say() { ${bin("mariadb-client", "mariadb")} ${say} "$@"; }
    has=$(say -e "SELECT COUNT(*), COALESCE(SUM(table_name = 'meso_unfinished'), 0) FROM information_schema.tables WHERE table_schema = '${name}'")
    case $has in
      0*0) ;;
      *1) ;;
      *) exit 0 ;;
    esac
  `;
}

function mariadbLoad({ name = "zabbix" }: ZabbixDatabase): Text {
  return text`
    say -e 'DROP DATABASE IF EXISTS \`${name}\`; CREATE DATABASE \`${name}\` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin; CREATE TABLE \`${name}\`.meso_unfinished (a INT)'
    { ${tables("zabbix-server-mysql")}; ${setPassword}; echo 'DROP TABLE meso_unfinished;'; } | say ${name}
  `;
}

function postgresqlStart({ server, password, name = "zabbix" }: ZabbixDatabase): Text {
  const where = server ? `--host=${server.address} --port=${server.port}` : "";
  return text`
    ${password ? `export PGPASSWORD="$(cat "$CREDENTIALS_DIRECTORY/${password.name}")"` : ""}
    say() { psql ${where} --username=zabbix --dbname=${name} --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 "$@"; }
    has=$(say --command="SELECT to_regclass('dbversion') IS NOT NULL")
    [ "$has" != t ] || exit 0
  `;
}

function postgresqlLoad(): Text {
  // The data's own START TRANSACTION and COMMIT would end the one that all of it is in.
  return text`
    { ${tables("zabbix-server-pgsql")} | sed -e '/^START TRANSACTION;$/d' -e '/^COMMIT;$/d'; ${setPassword}; } | say --single-transaction --output=/dev/null
  `;
}
