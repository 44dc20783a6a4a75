import { isIP } from "node:net";
import { isAddressWithPrefix } from "../language/address.ts";
import type { Complaint } from "../language/complaint.ts";
import type { PostgresqlOptions } from "./postgresql.ts";

/** What the types of its options cannot say. */
export function postgresqlMistakes(options: Required<PostgresqlOptions>): Complaint[] {
  const { databases, roles, standbys, follows, listenAddresses, version, settings, backups } = options;
  const known = new Set(["postgres", ...roles.map(({ name }) => name)]);
  const wrong = (code: string, field: string, what: string, expected?: string): Complaint => ({
    ...{ code, field, what },
    ...(expected && { expected }),
  });
  const names = { databases, roles, standbys };
  return [
    ...(version === "debian" || (Number.isInteger(version) && version >= 9)
      ? []
      : [wrong("wrong-value", "version", `found ${version}`, '"debian", or a number: 17')]),
    ...Object.entries(names).flatMap(([field, all]) =>
      all
        .filter(({ name }) => !/^[a-z_][a-z0-9_-]{0,62}$/.test(name))
        .map(({ name }) =>
          wrong("wrong-name", field, `found ${JSON.stringify(name)}`, "small letters, digits, _ and -, 63 at most"),
        ),
    ),
    ...listenAddresses
      .filter((address) => isIP(address) === 0 && address !== "*")
      .map((address) =>
        wrong("wrong-address", "listenAddresses", `found ${JSON.stringify(address)}`, 'an address, or "*"'),
      ),
    ...databases
      .filter(({ owner = "postgres" }) => !known.has(owner))
      .map(({ name, owner }) =>
        wrong("unknown-role", "databases", `${name} belongs to ${owner}, who is no role`, [...known].join(", ")),
      ),
    ...databases
      .flatMap(({ extensions = [] }) => extensions)
      .filter((extension) => !/^[a-z0-9_-]+$/.test(extension))
      .map((extension) => wrong("wrong-name", "databases", `found the extension ${JSON.stringify(extension)}`)),
    ...roles.flatMap(({ name, password, from = [], memberOf = [] }) => [
      ...(password || from.length === 0
        ? []
        : [
            wrong(
              "missing-field",
              "roles",
              `${name} comes from elsewhere and has no password`,
              'password: secret("…")',
            ),
          ]),
      ...from
        .filter((network) => isIP(network) === 0 && !isAddressWithPrefix(network))
        .map((network) =>
          wrong("wrong-address", "roles", `${name} comes from ${JSON.stringify(network)}`, "a network"),
        ),
      ...memberOf
        .filter((role) => !known.has(role) && !role.startsWith("pg_"))
        .map((role) => wrong("unknown-role", "roles", `${name} is a member of ${role}, which is no role`)),
    ]),
    ...standbys
      .filter(({ address }) => isIP(address) === 0)
      .map(({ name, address }) =>
        wrong("wrong-address", "standbys", `${name} has the address ${JSON.stringify(address)}`),
      ),
    // Names of replication slots know no hyphen.
    ...[...standbys, ...(follows ? [follows] : [])]
      .filter(({ name }) => !/^[a-z0-9_]+$/.test(name))
      .map(({ name }) =>
        wrong("wrong-name", "standbys", `found ${JSON.stringify(name)}`, "small letters, digits and _"),
      ),
    ...(follows && databases.length + roles.length > 0
      ? [
          wrong(
            "read-only",
            "follows",
            "databases and roles of a standby are those of its primary",
            "no databases and roles",
          ),
        ]
      : []),
    ...Object.keys(settings)
      .filter((name) => !/^[a-z_][a-z0-9_.]*$/.test(name))
      .map((name) => wrong("wrong-name", "settings", `found ${JSON.stringify(name)}`)),
    ...(backups && !(Number.isInteger(backups.keep) && backups.keep >= 1)
      ? [wrong("wrong-value", "backups", `${backups.keep} copies are kept`, "1 or more")]
      : []),
  ];
}
