import { isIP } from "node:net";
import { type GeneratedFile, type Text, text, textFile } from "../language/text.ts";
import type { PostgresqlOptions, PostgresqlPrimary } from "./postgresql.ts";
import type { Cluster } from "./postgresql-programs.ts";

/** What the server is started with: nothing of its configuration lies among its data. */
export function configurationArguments({ data, configuration }: Cluster): readonly (string | Text)[] {
  const { server, hosts, identities } = configuration;
  return [
    ...["-D", data],
    ...["-c", text`config_file=${server}`],
    ...["-c", text`hba_file=${hosts}`],
    ...["-c", text`ident_file=${identities}`],
  ];
}

/** The files that PostgreSQL is configured by. */
export interface PostgresqlConfiguration {
  readonly server: GeneratedFile;
  readonly hosts: GeneratedFile;
  readonly identities: GeneratedFile;
}

/** @param passwordFile where a standby's password is, in the form of libpq's .pgpass. */
export function postgresqlConf(options: Required<PostgresqlOptions>, passwordFile: string): PostgresqlConfiguration {
  const { listenAddresses, port, sharedBuffers, preloadLibraries, settings, standbys, follows } = options;
  const all = {
    listen_addresses: listenAddresses.join(","),
    ...{ port, unix_socket_directories: "/run/postgresql", shared_buffers: sharedBuffers },
    ...{
      password_encryption: "scram-sha-256",
      timezone: "Etc/UTC",
      log_timezone: "Etc/UTC",
      log_line_prefix: "%q%u@%d ",
    },
    ...(preloadLibraries.length > 0 && { shared_preload_libraries: preloadLibraries.join(",") }),
    // A standby that is away for days must not fill the disk of its primary; it is copied anew then.
    ...(standbys.length > 0 && { wal_level: "replica", max_slot_wal_keep_size: "10GB" }),
    ...(follows && {
      primary_conninfo: connection(follows, passwordFile),
      primary_slot_name: follows.name,
      hot_standby: "on",
    }),
    ...settings,
  };
  const lines = Object.entries(all)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name} = ${literal(value)}`);
  return {
    server: textFile("postgresql.conf", `${lines.join("\n")}\n`),
    hosts: textFile("pg_hba.conf", hostRules(options)),
    identities: textFile("pg_ident.conf", ""),
  };
}

/** How a standby reaches its primary, for libpq. */
export function connection({ server, name }: PostgresqlPrimary, passwordFile: string): string {
  return `host=${server.address} port=${server.port} user=${name} application_name=${name} passfile=${passwordFile} connect_timeout=10`;
}

function literal(value: string | number | boolean): string {
  if (typeof value === "boolean") return value ? "on" : "off";
  return typeof value === "number" ? String(value) : `'${value.replaceAll("'", "''")}'`;
}

/** pg_hba.conf: users of the machine by the socket, roles with their passwords from where they may come. */
function hostRules({ roles, standbys }: Required<PostgresqlOptions>): string {
  const withPassword = roles.filter(({ password }) => password);
  const lines = [
    // Roles with a password may show it here too; whoever has none is who he is.
    ...withPassword.map(({ name }) => `local all ${name} scram-sha-256`),
    "local all all peer",
    "local replication postgres peer",
    ...withPassword.flatMap(({ name, from = [] }) =>
      from.map((network) => `host all ${name} ${withPrefix(network)} scram-sha-256`),
    ),
    ...standbys.map(({ name, address }) => `host replication ${name} ${withPrefix(address)} scram-sha-256`),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

function withPrefix(network: string): string {
  const kind = isIP(network);
  return kind === 0 ? network : `${network}/${kind === 4 ? 32 : 128}`;
}
