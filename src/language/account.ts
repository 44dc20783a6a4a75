import { aBoolean, aList, aNumber, aString, orUndefined } from "./check.ts";
import type { Check } from "./complaint.ts";
import { isNormalAbsolutePath } from "./file-system.ts";
import type { RecordOf } from "./record.ts";
import { recordType } from "./record.ts";

interface UserAccountFields {
  name: string;
  /** Fixed forever, since data volumes outlive images. Default: the registry's number, or one drawn from the name. */
  uid: number | undefined;
  /** Primary group. Default: a group of the user's own, with the same name and number. */
  group: string;
  supplementaryGroups: readonly string[];
  /** Full name or purpose. */
  comment: string;
  home: string;
  /** Made at image build if missing. */
  createHome: boolean;
  shell: string;
  /** crypt(5) hash, never a password; "" for no password asked, "!" for locked. */
  passwordHash: string;
  /** OpenSSH public keys, one an item. */
  authorizedKeys: readonly string[];
  /** An account of the system: numbered below 1000, no login shell, home not made. */
  system: boolean;
}

export type UserAccount = RecordOf<UserAccountFields, "name">;

// What useradd of Debian accepts without --badname, and utmp's 32 bytes.
const aName = aString(
  "1 to 32 lower-case letters, digits, _ or -, starting with a letter or _",
  (name) => /^[a-z_][a-z0-9_-]{0,31}$/.test(name) || name === "Debian-exim" || name === "Debian-snmp",
  "wrong-name",
);

const aPath: Check = aString("an absolute path", isNormalAbsolutePath, "wrong-path");
const aNumericId = orUndefined(aNumber(0, 4294967293));
const withoutColon = (value: string) => !/[:\n]/.test(value);

export const userAccount = recordType<UserAccountFields, "name">({
  kind: "userAccount",
  defaults: ({ name, system = name === "root" }) => ({
    uid: name === "root" ? 0 : undefined,
    group: name,
    supplementaryGroups: [],
    comment: name === "root" ? "root" : "",
    home: name === "root" ? "/root" : system ? "/nonexistent" : `/home/${name}`,
    createHome: !system,
    shell: system && name !== "root" ? "/usr/sbin/nologin" : "/bin/bash",
    passwordHash: "!",
    authorizedKeys: [],
    system,
  }),
  fields: {
    name: aName,
    uid: aNumericId,
    group: aName,
    supplementaryGroups: aList(aName),
    comment: aString("one line without colon", withoutColon),
    home: aPath,
    createHome: aBoolean,
    shell: aPath,
    passwordHash: aString(
      'a crypt(5) hash such as "$y$…", "" or "!"',
      (hash) =>
        hash === "" ||
        /^[!*]/.test(hash) ||
        (/^[$_./A-Za-z0-9]/.test(hash) && hash.length >= 13 && /^[^\s:]+$/.test(hash)),
      "wrong-value",
      "make one with: mkpasswd -m yescrypt",
    ),
    authorizedKeys: aList(
      aString(
        'an OpenSSH public key: "ssh-ed25519 AAAA…"',
        (key) => /^[^\n]*(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ AAAA[A-Za-z0-9+/=]+( [^\n]*)?$/.test(key),
        "wrong-key",
        "give the line of the .pub file, not a private key",
      ),
    ),
    system: aBoolean,
  },
});

interface UserGroupFields {
  name: string;
  gid: number | undefined;
  /** A group of the system: numbered below 1000. */
  system: boolean;
}

export type UserGroup = RecordOf<UserGroupFields, "name">;

export const userGroup = recordType<UserGroupFields, "name">({
  kind: "userGroup",
  defaults: () => ({ gid: undefined, system: false }),
  fields: { name: aName, gid: aNumericId, system: aBoolean },
});
