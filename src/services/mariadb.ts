import { isIP } from "node:net";
import type { Complaint } from "../language/complaint.ts";
import type { Secret } from "../language/secret.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { bin, type GeneratedFile, programFile, sbin, type Text, text, textFile } from "../language/text.ts";
import { configurationChecks } from "../system/essential-configuration.ts";
import { credentials } from "../system/essential-credentials.ts";
import { checks, commandSucceeds, portAnswers, profile, unitActive } from "../system/essential-profile.ts";
import { dropIn, enableUnit, systemdUnits, unit } from "../system/essential-units.ts";
import { firewall, openPort } from "./firewall.ts";
import { state, stateFolder } from "./state.ts";

/** A database that is there when the server has started. */
export interface MariadbDatabase {
  readonly name: string;
  /** Default `utf8mb4`. */
  readonly characterSet?: string;
}

/** An account of the server, and what it may do. */
export interface MariadbUser {
  readonly name: string;
  /** Where it comes from, as MariaDB writes it: `10.141.%`. Default: `localhost`. */
  readonly host?: string;
  /** Without one, it is the user of that name of the machine itself, by the local socket. */
  readonly password?: Secret;
  readonly grants?: readonly MariadbGrant[];
}

export interface MariadbGrant {
  /** A database, and all it holds. */
  readonly database: string;
  /** Default: `["ALL PRIVILEGES"]`. */
  readonly privileges?: readonly string[];
}

export interface MariadbOptions {
  readonly databases?: readonly MariadbDatabase[];
  readonly users?: readonly MariadbUser[];
  readonly listenAddresses?: readonly string[];
  readonly port?: number;
  readonly allow?: readonly string[];
  readonly bufferPool?: string;
  readonly settings?: Readonly<Record<string, string | number>>;
  readonly folder?: string;
}

/** MariaDB, with its data in a folder that outlives images; made at the first start. */
export const mariadb = serviceType<MariadbOptions>({
  name: "mariadb",
  description: "MariaDB server; its databases, users and their rights are declared, and there when it has started.",
  options: {
    databases: "Databases that are made when they are not there. None is ever dropped.",
    users: "Accounts with their rights. What was granted by hand beside it stays.",
    listenAddresses: "Addresses to listen on; an empty list means the local socket alone.",
    port: "TCP port, where it listens on addresses.",
    allow: "Networks that the firewall lets in; an empty list means all.",
    bufferPool: "Memory for pages of InnoDB: 128M; half of a machine that does nothing else, and more.",
    settings: "Further settings of the section [mariadbd]: { max_connections: 500 }.",
    folder: "Where the data lies, in a folder of its own.",
  },
  defaults: {
    databases: [],
    users: [],
    listenAddresses: [],
    port: 3306,
    allow: [],
    bufferPool: "128M",
    settings: {},
    folder: "/var/lib/mysql",
  },
  validate: (options) => mistakes(options),
  extensions: [
    extend(profile, () => ["mariadb-server", "mariadb-client"]),
    extend(state, ({ folder }) => [stateFolder(folder, { user: "mysql", mode: 0o755, units: ["mariadb.service"] })]),
    extend(systemdUnits, (options) => [
      enableUnit("mariadb.service"),
      dropIn("mariadb.service", "meso", {
        text: text`
          [Unit]
          # It can only listen on an address that the machine has.
          ${options.listenAddresses.length > 0 ? "Wants=network-online.target\nAfter=network-online.target" : ""}

          [Service]
          ExecStartPre=${firstStart(options)}
          ExecStart=
          ExecStart=${sbin("mariadb-server", "mariadbd")} --defaults-file=${mariadbConf(options)}
        `,
      }),
      unit({
        name: mariadbDeclaredUnit,
        text: text`
          [Unit]
          Description=Databases and users of MariaDB
          Requires=mariadb.service
          After=mariadb.service
          PartOf=mariadb.service

          [Service]
          Type=oneshot
          RemainAfterExit=yes
          ExecStart=${declare(options)}

          [Install]
          WantedBy=multi-user.target
        `,
      }),
    ]),
    extend(credentials, ({ users }) =>
      users.flatMap(({ password }) => (password ? [{ secret: password, units: [mariadbDeclaredUnit] }] : [])),
    ),
    extend(configurationChecks, (options) => [
      {
        name: "mariadbd",
        program: sbin("mariadb-server", "mariadbd"),
        arguments: [text`--defaults-file=${mariadbConf(options)}`, "--help", "--verbose"],
        reads: ["/usr/share/mariadb"],
        folders: [dataFolder(options)],
      },
    ]),
    extend(firewall, ({ listenAddresses, port, allow }) =>
      listenAddresses.length > 0 ? [openPort(port, { from: allow, service: "MariaDB" })] : [],
    ),
    extend(checks, ({ listenAddresses, port }) => [
      unitActive("mariadb.service"),
      unitActive(mariadbDeclaredUnit),
      commandSucceeds("mariadb-admin", "ping"),
      ...(listenAddresses.length > 0 ? [portAnswers(port)] : []),
    ]),
  ],
});

/** What wants its database goes after this. */
export const mariadbDeclaredUnit = "mariadb-declared.service";

function mistakes({ users, databases, listenAddresses }: Required<MariadbOptions>): Complaint[] {
  const known = new Set(databases.map(({ name }) => name));
  const names = [...databases, ...users].map(({ name }) => name);
  return [
    ...listenAddresses
      .filter((address) => isIP(address) === 0)
      .map((address) => ({
        ...{ code: "wrong-address", field: "listenAddresses", what: `found ${JSON.stringify(address)}` },
        expected: "an IP address",
      })),
    ...names
      .filter((name) => !/^[A-Za-z0-9_-]{1,64}$/.test(name))
      .map((name) => ({
        ...{ code: "wrong-name", field: "databases", what: `found ${JSON.stringify(name)}` },
        expected: "letters, digits, _ and -",
      })),
    ...users.flatMap(({ name, host = "localhost", password, grants = [] }) => [
      ...(/^[A-Za-z0-9_.:%/-]+$/.test(host)
        ? []
        : [{ code: "wrong-address", field: "users", what: `${name} comes from ${JSON.stringify(host)}` }]),
      ...(password || host === "localhost"
        ? []
        : [
            {
              ...{ code: "missing-field", field: "users", what: `${name} comes from ${host} and has no password` },
              expected: 'password: secret("…"), as only users of the machine itself are known without',
            },
          ]),
      ...grants
        .filter(({ database }) => !known.has(database))
        .map(({ database }) => ({
          ...{ code: "unknown-database", field: "users", what: `${name} may use ${database}, which is not declared` },
          expected: [...known].join(", ") || "a database among databases",
        })),
      ...grants
        .flatMap(({ privileges = [] }) => privileges)
        .filter((privilege) => !/^[A-Za-z ]+$/.test(privilege))
        .map((privilege) => ({ code: "wrong-value", field: "users", what: `found the privilege ${privilege}` })),
    ]),
  ];
}

/** Below the folder, which may be a file system with a lost+found of its own. */
function dataFolder({ folder }: Required<MariadbOptions>): string {
  return `${folder}/data`;
}

function mariadbConf(options: Required<MariadbOptions>): GeneratedFile {
  const { listenAddresses, port, bufferPool, settings } = options;
  const network = listenAddresses.length > 0 ? [`bind-address = ${listenAddresses.join(",")}`, `port = ${port}`] : [];
  return textFile(
    "mariadb.cnf",
    text`
      [mariadbd]
      user = mysql
      datadir = ${dataFolder(options)}
      socket = /run/mysqld/mysqld.sock
      pid-file = /run/mysqld/mysqld.pid
      ${network.length > 0 ? network : "skip-networking"}
      skip-name-resolve
      character-set-server = utf8mb4
      innodb_buffer_pool_size = ${bufferPool}
      ${Object.entries(settings)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, value]) => `${name} = ${value}`)}
    `,
  );
}

/** System tables, made aside and renamed: a server that was killed at its first start begins again. */
function firstStart(options: Required<MariadbOptions>): GeneratedFile {
  const data = dataFolder(options);
  return programFile(
    "mariadb-first-start",
    text`
      #!/bin/sh
      set -eu
      [ ! -e ${data} ] || exit 0
      rm -rf ${data}.new
      mkdir -m 700 ${data}.new
      ${bin("mariadb-server", "mariadb-install-db")} --no-defaults --datadir=${data}.new --skip-test-db --auth-root-authentication-method=socket
      sync
      mv -T ${data}.new ${data}
    `,
  );
}

function declare({ databases, users }: Required<MariadbOptions>): GeneratedFile {
  return programFile(
    "mariadb-declare",
    text`
      #!/bin/sh
      # Says to the server what there is to be. Passwords come from files, and go as hexadecimal digits.
      set -eu
      hexadecimal() { printf %s "$(cat "$CREDENTIALS_DIRECTORY/$1")" | od -An -tx1 -v | tr -d ' \\n'; }
      {
        ${databases.map(({ name, characterSet = "utf8mb4" }) => `echo 'CREATE DATABASE IF NOT EXISTS \`${name}\` CHARACTER SET ${characterSet};'`)}
        ${users.map(declareUser)}
        :
      } | ${bin("mariadb-client", "mariadb")} --no-defaults --socket=/run/mysqld/mysqld.sock --user=root
    `,
  );
}

function declareUser({ name, host = "localhost", password, grants = [] }: MariadbUser): Text {
  const account = `"${name}"@"${host}"`;
  return text`
    echo 'CREATE USER IF NOT EXISTS ${account} IDENTIFIED VIA unix_socket;'
    ${
      password
        ? `echo "EXECUTE IMMEDIATE CONCAT('ALTER USER ${account.replaceAll('"', '\\"')} IDENTIFIED BY ', QUOTE(CONVERT(x'$(hexadecimal ${password.name})' USING utf8mb4)));"`
        : `echo 'ALTER USER ${account} IDENTIFIED VIA unix_socket;'`
    }
    ${grants.map(
      ({ database, privileges = ["ALL PRIVILEGES"] }) =>
        `echo 'GRANT ${privileges.join(", ")} ON \`${database}\`.* TO ${account};'`,
    )}
  `;
}
