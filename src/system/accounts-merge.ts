import { MesoError, type Problem } from "../base/error.ts";
import { sortedBy } from "../base/order.ts";
import type { UserEffect } from "./ledger/effects.ts";
import type { ManifestGroup, ManifestUser } from "./manifest.ts";
import { parseSysusers } from "./sysusers.ts";

export type NumberOf = (kind: "user" | "group", name: string) => number | undefined;

export interface AccountSources {
  /** Text of base-passwd's master files. */
  readonly passwdMaster: string;
  readonly groupMaster: string;
  /** Texts of sysusers.d files, in the order of their names. */
  readonly sysusers: readonly { readonly origin: string; readonly text: string }[];
  /** What maintainer scripts would have added, by package. */
  readonly packages: readonly {
    readonly origin: string;
    readonly users: readonly UserEffect[];
    readonly groups: readonly string[];
  }[];
  readonly users: readonly ManifestUser[];
  readonly groups: readonly ManifestGroup[];
  /** The registry of numbers, asked for accounts that nobody numbers. */
  readonly numberOf: NumberOf;
}

export interface Accounts {
  /** Contents by path: passwd, group, shadow, gshadow, subuid, subgid. */
  readonly files: ReadonlyMap<string, { readonly text: string; readonly mode: number; readonly group: string }>;
  readonly uidOf: (name: string) => number | undefined;
  readonly gidOf: (name: string) => number | undefined;
  readonly users: ReadonlyMap<string, { readonly uid: number; readonly gid: number; readonly home: string }>;
  readonly groups: ReadonlyMap<string, number>;
}

interface User {
  name: string;
  uid: number;
  gid: number;
  comment: string;
  home: string;
  shell: string;
  password: string;
  system: boolean;
  origin: string;
}

interface Group {
  name: string;
  gid: number;
  origin: string;
}

/**
 * The account files of a system. The person's record wins over packages, packages over nothing; numbers never
 * depend on the order of anything.
 *
 * @throws MesoError `unnumbered-account`, `account-collision`, `unknown-group`, all at once.
 */
export function mergeAccounts(sources: AccountSources): Accounts {
  const problems: Problem[] = [];
  const users = new Map<string, User>();
  const groups = new Map<string, Group>();
  const members = new Map<string, Set<string>>();

  function addGroup(name: string, gid: number | undefined, origin: string): number | undefined {
    const known = groups.get(name);
    if (known) return known.gid;
    const number = gid ?? sources.numberOf("group", name);
    if (number === undefined) {
      problems.push(unnumbered("group", name, origin));
      return undefined;
    }
    groups.set(name, { name, gid: number, origin });
    return number;
  }

  function addUser(
    name: string,
    uid: number | undefined,
    gid: number | undefined,
    more: Omit<User, "name" | "uid" | "gid">,
  ) {
    if (users.has(name)) return;
    const number = uid ?? sources.numberOf("user", name);
    if (number === undefined) problems.push(unnumbered("user", name, more.origin));
    if (number === undefined || gid === undefined) return;
    users.set(name, { name, uid: number, gid, ...more });
  }

  const join = (user: string, group: string) => members.set(group, (members.get(group) ?? new Set()).add(user));

  for (const { name, gid, origin } of sources.groups) addGroup(name, gid, origin.by);
  for (const user of sources.users) {
    const gid =
      groups.get(user.group)?.gid ??
      masterGroup(sources.groupMaster, user.group) ??
      sources.numberOf("group", user.group);
    if (gid === undefined) problems.push(unknownGroup(user.name, user.group, user.origin.by));
    addUser(user.name, user.uid, gid, {
      comment: user.comment,
      home: user.home,
      shell: user.shell,
      password: user.passwordHash,
      system: user.system,
      origin: user.origin.by,
    });
    for (const group of user.supplementaryGroups) join(user.name, group);
  }
  for (const [name, , gid] of records(sources.groupMaster)) addGroup(name!, Number(gid), "base-passwd");
  for (const [name, , uid, gid, comment, home, shell] of records(sources.passwdMaster)) {
    const more = { comment: comment!, home: home!, shell: shell!, password: "*", system: true, origin: "base-passwd" };
    addUser(name!, Number(uid), Number(gid), more);
  }
  for (const user of sources.users) {
    if (!groups.has(user.group)) addGroup(user.group, undefined, user.origin.by);
  }
  for (const { origin, text } of sources.sysusers) {
    const entries = parseSysusers(text);
    for (const entry of entries) if (entry.kind === "group") addGroup(entry.name, entry.gid, origin);
    for (const entry of entries) {
      if (entry.kind === "member") {
        join(entry.user, entry.group);
        continue;
      }
      if (entry.kind !== "user" || users.has(entry.name)) continue;
      const gid =
        typeof entry.group === "number"
          ? entry.group
          : addGroup(entry.group ?? entry.name, entry.group ? undefined : entry.uid, origin);
      // sysusers.d(5): without a home folder it is the root folder.
      const more = systemUser({ home: "/", ...entry }, origin);
      addUser(entry.name, entry.uid, gid, more);
    }
  }
  for (const { origin, users: added, groups: addedGroups } of sources.packages) {
    for (const name of addedGroups) addGroup(name, undefined, origin);
    for (const user of added) {
      for (const group of user.supplementaryGroups ?? []) join(user.name, group);
      const createsAccount =
        user.group !== undefined || user.home !== undefined || user.supplementaryGroups === undefined;
      if (!createsAccount || users.has(user.name)) continue;
      addUser(user.name, undefined, addGroup(user.group ?? user.name, undefined, origin), systemUser(user, origin));
    }
  }
  for (const [group, names] of members) {
    const culprit = sources.users.find((user) => user.supplementaryGroups.includes(group));
    if (!groups.has(group) && culprit) problems.push(unknownGroup(culprit.name, group, culprit.origin.by));
    for (const name of names) if (!users.has(name)) names.delete(name);
  }
  problems.push(...collisions("user", users.values(), (user) => user.uid));
  problems.push(...collisions("group", groups.values(), (group) => group.gid));
  if (problems.length > 0) throw new MesoError(problems);
  return {
    files: renderFiles([...users.values()], [...groups.values()], members),
    uidOf: (name) => users.get(name)?.uid ?? (/^\d+$/.test(name) ? Number(name) : undefined),
    gidOf: (name) => groups.get(name)?.gid ?? (/^\d+$/.test(name) ? Number(name) : undefined),
    users,
    groups: new Map([...groups].map(([name, { gid }]) => [name, gid])),
  };
}

function systemUser(
  from: { readonly comment?: string; readonly home?: string; readonly shell?: string },
  origin: string,
): Omit<User, "name" | "uid" | "gid"> {
  return {
    comment: from.comment ?? "",
    home: from.home ?? "/nonexistent",
    shell: from.shell ?? "/usr/sbin/nologin",
    password: "!*",
    system: true,
    origin,
  };
}

function records(text: string): string[][] {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return lines.map((line) => line.split(":"));
}

function masterGroup(groupMaster: string, name: string): number | undefined {
  const record = records(groupMaster).find(([group]) => group === name);
  return record && Number(record[2]);
}

/** Ordinary users get a range each in subuid and subgid, as useradd gives them, but fixed by their number. */
const subordinate = { first: 100_000, count: 65_536, firstUser: 1000, lastUser: 59_999 };

function renderFiles(
  users: User[],
  groups: Group[],
  members: ReadonlyMap<string, ReadonlySet<string>>,
): Accounts["files"] {
  const byUid = users.sort((a, b) => a.uid - b.uid);
  const byGid = groups.sort((a, b) => a.gid - b.gid);
  const membersOf = ({ name }: Group) => sortedBy(members.get(name) ?? [], (user) => user).join(",");
  const ordinary = byUid.filter(
    ({ uid, system }) => !system && uid >= subordinate.firstUser && uid <= subordinate.lastUser,
  );
  const ranges = ordinary.map(
    ({ name, uid }) =>
      `${name}:${subordinate.first + (uid - subordinate.firstUser) * subordinate.count}:${subordinate.count}`,
  );
  const file = (lines: readonly string[], mode: number, group = "root") => ({
    text: lines.map((line) => `${line}\n`).join(""),
    mode,
    group,
  });
  return new Map([
    [
      "/etc/passwd",
      file(
        byUid.map((u) => [u.name, "x", u.uid, u.gid, u.comment, u.home, u.shell].join(":")),
        0o644,
      ),
    ],
    // No date of the last change: it would be the only clock in an image, and no password ages on a volatile root.
    [
      "/etc/shadow",
      file(
        byUid.map((u) => `${u.name}:${u.password}::0:99999:7:::`),
        0o640,
        "shadow",
      ),
    ],
    [
      "/etc/group",
      file(
        byGid.map((g) => `${g.name}:x:${g.gid}:${membersOf(g)}`),
        0o644,
      ),
    ],
    [
      "/etc/gshadow",
      file(
        byGid.map((g) => `${g.name}:*::${membersOf(g)}`),
        0o640,
        "shadow",
      ),
    ],
    ["/etc/subuid", file(ranges, 0o644)],
    ["/etc/subgid", file(ranges, 0o644)],
  ]);
}

function unnumbered(kind: "user" | "group", name: string, origin: string): Problem {
  return {
    code: "unnumbered-account",
    what: `the ${kind} ${name}, which ${origin} needs, has no number`,
    field: "accountNumbers",
    expected: "a number fixed for ever: data volumes outlive images",
    hint: `add accountNumbers: { "${name}": … } with a number from 100 to 999 that no other account has`,
  };
}

function unknownGroup(user: string, group: string, origin: string): Problem {
  return {
    code: "unknown-group",
    what: `the user ${user} (${origin}) is in the group ${group}, which nobody makes`,
    field: "users",
    expected: "a group of the record, or of an installed package",
    hint: `add userGroup({ name: "${group}" }) or install the package that brings it`,
  };
}

function collisions<T extends { name: string; origin: string }>(
  kind: "user" | "group",
  accounts: Iterable<T>,
  numberOf: (account: T) => number,
): Problem[] {
  const byNumber = Map.groupBy(accounts, numberOf);
  return [...byNumber].flatMap(([number, same]): Problem[] => {
    if (same.length < 2) return [];
    const named = same.map(({ name, origin }) => `${name} (${origin})`).join(" and ");
    return [
      {
        code: "account-collision",
        what: `the ${kind}s ${named} share the number ${number}`,
        field: "accountNumbers",
        expected: "a number of its own for each",
      },
    ];
  });
}
