import { drawnAccountNumber } from "../system/account-numbers.ts";

/** An entry of a directory: `{ dn: "ou=people,dc=example,dc=org", attributes: { objectClass: "organizationalUnit" } }`. */
export interface LdapEntry {
  readonly dn: string;
  readonly attributes: Readonly<Record<string, string | readonly string[]>>;
}

/** A place for other entries: `organizationalUnit("people", "dc=example,dc=org")`. */
export function organizationalUnit(name: string, under: string): LdapEntry {
  return { dn: `ou=${escaped(name)},${under}`, attributes: { objectClass: "organizationalUnit", ou: name } };
}

export interface LdapPerson {
  readonly name: string;
  /** Default: drawn from the name, as for accounts of machines. */
  readonly uid?: number;
  /** Default: a group of the same number. */
  readonly gid?: number;
  readonly fullName?: string;
  readonly mail?: string;
  readonly home?: string;
  readonly shell?: string;
  /** As slapd keeps it: `{CRYPT}$y$…`, `{ARGON2}$argon2id$…`. Without one nobody logs in with a password. */
  readonly passwordHash?: string;
  /** OpenSSH public keys; needs the schema `openssh-lpk`. */
  readonly sshKeys?: readonly string[];
}

/** Somebody who may have a shell (RFC 2307): `ldapPerson({ name: "alice" }, "ou=people,dc=example,dc=org")`. */
export function ldapPerson(person: LdapPerson, under: string): LdapEntry {
  const { name, uid = drawnAccountNumber(name), gid = uid, fullName = name, mail, passwordHash, sshKeys = [] } = person;
  const keys = sshKeys.length > 0;
  return {
    dn: `uid=${escaped(name)},${under}`,
    attributes: {
      objectClass: ["inetOrgPerson", "posixAccount", "shadowAccount", ...(keys ? ["ldapPublicKey"] : [])],
      uid: name,
      cn: fullName,
      sn: fullName.split(" ").at(-1)!,
      uidNumber: String(uid),
      gidNumber: String(gid),
      homeDirectory: person.home ?? `/home/${name}`,
      loginShell: person.shell ?? "/bin/bash",
      ...(mail !== undefined && { mail }),
      ...(passwordHash !== undefined && { userPassword: passwordHash }),
      ...(keys && { sshPublicKey: sshKeys }),
    },
  };
}

export interface LdapGroup {
  readonly name: string;
  /** Default: drawn from the name. */
  readonly gid?: number;
  /** Names of people. */
  readonly members?: readonly string[];
}

/** A group of people (RFC 2307): `ldapGroup({ name: "physics", members: ["alice"] }, "ou=groups,dc=example,dc=org")`. */
export function ldapGroup({ name, gid, members = [] }: LdapGroup, under: string): LdapEntry {
  return {
    dn: `cn=${escaped(name)},${under}`,
    attributes: {
      objectClass: "posixGroup",
      cn: name,
      gidNumber: String(gid ?? drawnAccountNumber(name)),
      ...(members.length > 0 && { memberUid: members }),
    },
  };
}

/** The entry at the top of a tree whose name begins with `dc=` or `o=`; undefined for others. */
export function suffixEntry(suffix: string): LdapEntry | undefined {
  const [, type, value] = /^(dc|o)=([^,+=\\]+)(?:,|$)/.exec(suffix) ?? [];
  if (value === undefined) return undefined;
  return type === "dc"
    ? { dn: suffix, attributes: { objectClass: ["dcObject", "organization"], dc: value, o: value } }
    : { dn: suffix, attributes: { objectClass: "organization", o: value } };
}

/** Entries as LDIF (RFC 2849), parents before what is below them. */
export function ldif(entries: readonly LdapEntry[]): string {
  const depth = ({ dn }: LdapEntry): number => dn.split(/(?<!\\),/).length;
  return [...entries]
    .sort((a, b) => depth(a) - depth(b) || (a.dn < b.dn ? -1 : a.dn > b.dn ? 1 : 0))
    .map(({ dn, attributes }) => {
      const lines = Object.entries(attributes).flatMap(([name, values]) =>
        [values].flat().map((one) => line(name, one)),
      );
      return `${[line("dn", dn), ...lines].join("\n")}\n`;
    })
    .join("\n");
}

/** What begins like none of the signs that mean something, and holds no line's end, stands as it is; else base64. */
function line(name: string, value: string): string {
  const isSafe = /^(?![ :<])[ -~]*$/.test(value) && !value.endsWith(" ");
  return isSafe ? `${name}: ${value}` : `${name}:: ${Buffer.from(value).toString("base64")}`;
}

/** RFC 4514, 2.4. */
function escaped(value: string): string {
  return value.replace(/[,+"\\<>;=]|^[ #]| $/g, (found) => `\\${found}`);
}
