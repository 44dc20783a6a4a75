import type { Problem } from "../base/error.ts";
import { nearestHint } from "../base/nearest.ts";
import { sortedBy } from "../base/order.ts";
import type { UserAccount, UserGroup } from "../language/account.ts";
import type { Origin, Received } from "../language/service-type.ts";
import { accountNumber, drawnAccountNumber, knownAccounts, ownerOfNumber } from "./account-numbers.ts";
import type { ManifestGroup, ManifestUser } from "./manifest.ts";

export interface LoweredAccounts {
  readonly users: readonly ManifestUser[];
  readonly groups: readonly ManifestGroup[];
  readonly problems: readonly Problem[];
}

/**
 * Accounts with their numbers, sorted by name. A user whose group nobody declares gets one of the same name and
 * number. Unnumbered system accounts, collisions and unknown groups become problems.
 *
 * @param extra numbers by name for system accounts that the registry does not know.
 */
export function lowerAccounts(
  wishedUsers: readonly Received<UserAccount>[],
  wishedGroups: readonly Received<UserGroup>[],
  extra: Readonly<Record<string, number>>,
): LoweredAccounts {
  const users = withRoot(wishedUsers.map((wish) => lowerUser(wish, extra)));
  const declared = wishedGroups.map((wish) => lowerGroup(wish, extra));
  const own = users.flatMap((user) => (isGroupGiven(user.group, declared) ? [] : ownGroup(user)));
  const groups = [...declared, ...own];
  const known = new Set([...groups.map(({ name }) => name), ...knownAccounts("group"), ...Object.keys(extra)]);
  const problems = [
    ...accountProblems(
      "user",
      users.map((user) => ({ ...user, number: user.uid })),
      extra,
    ),
    ...accountProblems(
      "group",
      groups.map((group) => ({ ...group, number: group.gid })),
      extra,
    ),
    ...users.flatMap((user) => unknownGroups(user, known)),
  ];
  return { users: sortedBy(users, ({ name }) => name), groups: sortedBy(groups, ({ name }) => name), problems };
}

/**
 * As long as no person has an account, somebody must be able to log in: root, without a password, and only on the
 * consoles, since no other PAM stack accepts an empty one. Once there is a person's account, root is locked.
 */
function withRoot(users: readonly ManifestUser[]): readonly ManifestUser[] {
  if (users.some(({ name }) => name === "root")) return users;
  const isAnyonesMachine = users.some(({ system }) => !system);
  return [...users, { ...defaultRoot, passwordHash: isAnyonesMachine ? "*" : "" }];
}

const defaultRoot: ManifestUser = {
  name: "root",
  uid: 0,
  group: "root",
  supplementaryGroups: [],
  comment: "root",
  home: "/root",
  createHome: true,
  shell: "/bin/bash",
  passwordHash: "*",
  system: true,
  origin: { by: "login" },
};

// Stands for a number that nothing gives, until that is reported.
const unnumbered = -1;

function lowerUser({ value, origin }: Received<UserAccount>, extra: Readonly<Record<string, number>>): ManifestUser {
  return {
    name: value.name,
    uid: value.uid ?? numberOf("user", value, extra),
    group: value.group,
    supplementaryGroups: sortedBy(new Set(value.supplementaryGroups), (name) => name),
    comment: value.comment,
    home: value.home,
    createHome: value.createHome,
    shell: value.shell,
    passwordHash: value.passwordHash,
    system: value.system,
    origin,
  };
}

function lowerGroup({ value, origin }: Received<UserGroup>, extra: Readonly<Record<string, number>>): ManifestGroup {
  const { name, system } = value;
  return { name, gid: value.gid ?? numberOf("group", value, extra), system, origin };
}

function numberOf(
  kind: "user" | "group",
  { name, system }: { name: string; system: boolean },
  extra: Readonly<Record<string, number>>,
): number {
  return accountNumber(kind, name, extra) ?? (system ? unnumbered : drawnAccountNumber(name));
}

function isGroupGiven(name: string, declared: readonly ManifestGroup[]): boolean {
  return declared.some((group) => group.name === name) || (accountNumber("group", name) ?? 101) <= 100;
}

/** A group that only this user has; none when the user's group is somebody else's. */
function ownGroup({ name, group, uid, system, origin }: ManifestUser): ManifestGroup[] {
  if (group !== name || uid === unnumbered) return [];
  return [{ name, gid: accountNumber("group", name) ?? uid, system, origin }];
}

interface Account {
  readonly name: string;
  readonly number: number;
  readonly system: boolean;
  readonly origin: Origin;
}

function accountProblems(
  kind: "user" | "group",
  accounts: readonly Account[],
  extra: Readonly<Record<string, number>>,
): Problem[] {
  const byName = new Map<string, Account>();
  const byNumber = new Map<number, Account>();
  return accounts.flatMap((account): Problem[] => {
    const { name, number } = account;
    const namesake = byName.get(name);
    if (namesake) {
      const what = `the ${kind} ${name} is declared twice`;
      return [{ code: `duplicate-${kind}`, what, ...places(account, namesake), hint: "keep one of the two" }];
    }
    byName.set(name, account);
    if (number === unnumbered) return [unnumberedProblem(kind, account)];
    const twin = byNumber.get(number);
    byNumber.set(number, account);
    if (twin) {
      const what = `${twin.name} and ${name} both have the number ${number}`;
      return [{ code: `duplicate-${kind}-number`, what, ...places(account, twin), hint: hintForNumber(kind) }];
    }
    return [...rangeProblems(kind, account), ...reservationProblems(kind, account, extra)];
  });
}

function unnumberedProblem(kind: string, { name, origin }: Account): Problem {
  return {
    code: "unnumbered-account",
    what: `the system ${kind} ${name} has no number`,
    ...place(origin),
    expected: "a number that stays the same forever, since data volumes keep it",
    hint: `add accountNumbers: { ${JSON.stringify(name)}: … } to the operating system, from 900 to 999`,
  };
}

function reservationProblems(
  kind: "user" | "group",
  { name, number, origin }: Account,
  extra: Readonly<Record<string, number>>,
): Problem[] {
  const owner =
    ownerOfNumber(kind, number) ?? Object.keys(extra).find((other) => extra[other] === number && other !== name);
  // Where the fixed number of a user and of a group of one name differ (man: 6 and 12), both are that name's.
  if (owner === undefined || owner === name || accountNumber(kind, name) === number) return [];
  const what = `${name} has the number ${number}, which is ${owner}'s`;
  return [{ code: "reserved-number", what, ...place(origin), hint: hintForNumber(kind) }];
}

function rangeProblems(kind: "user" | "group", { name, number, system, origin }: Account): Problem[] {
  if (system || number >= 1000 || accountNumber(kind, name) === number) return [];
  const what = `the ${kind} ${name} has the number ${number}, below 1000`;
  return [{ code: "reserved-number", what, ...place(origin), hint: "write system: true, or a number from 1000" }];
}

function unknownGroups(user: ManifestUser, known: ReadonlySet<string>): Problem[] {
  return [user.group, ...user.supplementaryGroups]
    .filter((group) => !known.has(group))
    .filter((group) => !(group === user.name && user.uid === unnumbered))
    .map((group) => ({
      code: "unknown-group",
      what: `the user ${user.name} is in the group ${group}, which nobody declares`,
      ...place(user.origin),
      hint: nearestHint(group, known).hint ?? `add userGroup({ name: ${JSON.stringify(group)} }) to the groups`,
    }));
}

function hintForNumber(kind: "user" | "group"): string {
  return `write another ${kind === "user" ? "uid" : "gid"}`;
}

function place(origin: Origin): Pick<Problem, "where"> {
  return origin.where ? { where: origin.where } : {};
}

function places(account: Account, other: Account): Pick<Problem, "where" | "also"> {
  // The root account that every system has was written nowhere.
  if (!account.origin.where) return place(other.origin);
  return { ...place(account.origin), ...(other.origin.where && { also: other.origin.where }) };
}
