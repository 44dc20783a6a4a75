import { type GeneratedFile, type PackageFile, programFile, type Text, text, textFile } from "../language/text.ts";
import type {
  PostgresqlBackups,
  PostgresqlDatabase,
  PostgresqlOptions,
  PostgresqlRole,
  PostgresqlStandby,
} from "./postgresql.ts";
import { connection, type PostgresqlConfiguration } from "./postgresql-configuration.ts";

/** A server of one version, with its data: what Debian calls a cluster. */
export interface Cluster {
  readonly options: Required<PostgresqlOptions>;
  readonly version: number;
  readonly data: string;
  readonly passwordFile: string;
  readonly backupFolder: string | undefined;
  readonly configuration: PostgresqlConfiguration;
  /** One of this version; of the server's, or with false of the clients' package. */
  readonly program: (name: string, ofServer?: boolean) => PackageFile;
}

/** Data is made, or copied, aside and renamed: a server that was killed at its first start begins again. */
export function firstStart({ options, version, data, passwordFile, program }: Cluster): GeneratedFile {
  const { follows, locale } = options;
  const made = follows
    ? text`
        # The primary may start later than this one, or be busy with its own first start.
        until ${program("pg_basebackup", false)} --pgdata=${data}.new --wal-method=stream --checkpoint=fast --slot=${follows.name} --no-password --dbname='${connection(follows, passwordFile)}'; do
          rm -rf ${data}.new
          sleep 5
        done
        touch ${data}.new/standby.signal
      `
    : text`${program("initdb")} --pgdata=${data}.new --auth-local=peer --auth-host=scram-sha-256 --encoding=UTF8 --locale=${locale} --data-checksums`;
  return programFile(
    "postgresql-first-start",
    text`
      #!/bin/sh
      set -eu
      ${
        follows
          ? text`
              # As .pgpass wants it: a backslash before each backslash and colon.
              (umask 077 && printf '*:*:*:*:%s\\n' "$(sed 's/[\\:]/\\\\&/g' "$CREDENTIALS_DIRECTORY/${follows.password.name}")" > ${passwordFile})
            `
          : ""
      }
      if [ -e ${data} ]; then
        ${
          follows
            ? text`
                [ -e ${data}/standby.signal ] || {
                  echo "${data} is a server of its own, and shall follow ${follows.server.hostName}: move it away, and it is copied" >&2
                  exit 1
                }
              `
            : ""
        }
        exit 0
      fi
      for other in /var/lib/postgresql/*/main; do
        [ -e "$other/PG_VERSION" ] || continue
        echo "$other holds data of version $(cat "$other/PG_VERSION"), and this is ${version}: take it over by a dump or pg_upgrade, or move it away" >&2
        exit 1
      done
      rm -rf ${data}.new
      mkdir -p ${data.replace(/\/[^/]*$/, "")}
      ${made}
      sync
      mv -T ${data}.new ${data}
    `,
  );
}

/** Says to the server what there is to be; a standby that is none any more is promoted first. */
export function declare({ options, program }: Cluster): GeneratedFile {
  const { databases, roles, standbys, follows, port } = options;
  const psql = program("psql", false);
  const connect = `--no-psqlrc --quiet --set=ON_ERROR_STOP=1 --port=${port}`;
  if (follows) return programFile("postgresql-declare", text`#!/bin/sh\n# A standby has what its primary has.\n`);
  const statements = textFile(
    "postgresql-declare.sql",
    text`
      ${roles.map(({ name, attributes = [], password }) => roleStatements(name, attributes, password?.name))}
      ${roles.map(membershipStatements)}
      ${standbys.map(standbyStatements)}
      ${databases.map(databaseStatements)}
    `,
  );
  return programFile(
    "postgresql-declare",
    text`
      #!/bin/sh
      set -eu
      if [ "$(${psql} ${connect} --no-align --tuples-only --command='SELECT pg_is_in_recovery()' postgres)" = t ]; then
        ${psql} ${connect} --output=/dev/null --command='SELECT pg_promote(true, 600)' postgres
      fi
      ${psql} ${connect} --output=/dev/null --file=${statements} postgres
      ${databases
        .filter(({ extensions = [] }) => extensions.length > 0)
        .map(({ name, extensions = [] }) => {
          const commands = [...extensions].sort().map((one) => `--command='CREATE EXTENSION IF NOT EXISTS "${one}"'`);
          return text`${psql} ${connect} ${commands.join(" ")} ${name}`;
        })}
    `,
  );
}

function roleStatements(name: string, attributes: readonly string[], secretName: string | undefined): Text {
  const all = ["SUPERUSER", "CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS"];
  const words = all.map((word) => (attributes.includes(word) ? word : `NO${word}`)).join(" ");
  return text`
    SELECT 'CREATE ROLE "${name}"' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '${name}') \\gexec
    ALTER ROLE "${name}" LOGIN ${words};
    ${
      secretName === undefined
        ? `ALTER ROLE "${name}" PASSWORD NULL;`
        : `\\set password \`cat "$CREDENTIALS_DIRECTORY/${secretName}"\`\nALTER ROLE "${name}" PASSWORD :'password';`
    }
  `;
}

function membershipStatements({ name, memberOf = [] }: PostgresqlRole): string[] {
  return memberOf.map((role) => `GRANT "${role}" TO "${name}";`);
}

function standbyStatements({ name, password }: PostgresqlStandby): Text {
  return text`
    ${roleStatements(name, ["REPLICATION"], password.name)}
    SELECT pg_create_physical_replication_slot('${name}', true) WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '${name}');
  `;
}

function databaseStatements({ name, owner = "postgres" }: PostgresqlDatabase): Text {
  return text`
    SELECT 'CREATE DATABASE "${name}" OWNER "${owner}"' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '${name}') \\gexec
    ALTER DATABASE "${name}" OWNER TO "${owner}";
  `;
}

/** A folder for each copy, named after the time, made aside and renamed; of the older ones so many are kept. */
export function backup(
  { options: { port }, program, backupFolder }: Cluster,
  { kind, keep }: PostgresqlBackups,
): GeneratedFile {
  const client = (name: string) => text`${program(name, false)} --port=${port}`;
  const copy =
    kind === "base"
      ? text`${client("pg_basebackup")} --pgdata="$folder.new" --format=tar --gzip --wal-method=stream --checkpoint=fast`
      : text`
          mkdir "$folder.new"
          ${client("pg_dumpall")} --globals-only --file="$folder.new/globals.sql"
          ${client("psql")} --no-psqlrc --no-align --tuples-only --output="$folder.new/databases" --command='SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate' postgres
          while read -r name; do
            ${client("pg_dump")} --format=custom --file="$folder.new/$name.dump" "$name" </dev/null
          done < "$folder.new/databases"
        `;
  return programFile(
    "postgresql-backup",
    text`
      #!/bin/sh
      set -eu
      rm -rf ${backupFolder ?? ""}/*.new
      folder=${backupFolder ?? ""}/$(date -u +%Y%m%dT%H%M%SZ)
      ${copy}
      sync
      mv -T "$folder.new" "$folder"
      ls -d ${backupFolder ?? ""}/*Z | sort -r | tail -n +${keep + 1} | xargs -r rm -rf
    `,
  );
}
