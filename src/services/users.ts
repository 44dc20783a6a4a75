import { type UserAccount, type UserGroup, userGroup } from "../language/account.ts";
import type { Complaint } from "../language/complaint.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { accounts } from "../system/essential-accounts.ts";
import { sudoers } from "../system/essential-login.ts";

/** Who may run what as somebody else. */
export interface SudoRule {
  readonly user?: string;
  readonly group?: string;
  /** With their arguments; a command without any stands for itself with all. Nothing: every command. */
  readonly commands?: readonly string[];
  /** As whom. */
  readonly as?: string;
  /** Whether they give their own password first. */
  readonly password?: boolean;
}

export interface UsersOptions {
  readonly people?: readonly UserAccount[];
  readonly groups?: readonly (UserGroup | string)[];
  readonly sudo?: readonly SudoRule[];
}

/** Accounts of people and programs, their groups, and what they may run as others. */
export const users = serviceType<UsersOptions>({
  name: "users",
  description: "Accounts and groups of the machine, and rules of who may run what as somebody else (sudo).",
  options: {
    people: "Accounts: userAccount({ name, authorizedKeys, … }).",
    groups: "Groups: a name, or userGroup({ name, gid }).",
    sudo: 'Rules: { group: "operators", commands: ["/usr/bin/systemctl restart slurmd"] }.',
  },
  defaults: { people: [], groups: [], sudo: [] },
  validate: ({ sudo }) => sudo.flatMap(mistakes),
  extensions: [
    extend(accounts, ({ people, groups }) => [
      ...people,
      ...groups.map((group) => (typeof group === "string" ? userGroup({ name: group }) : group)),
    ]),
    extend(sudoers, ({ sudo }) => sudo.map(ruleText)),
  ],
});

function mistakes({ user, group, commands = [] }: SudoRule): Complaint[] {
  return [
    ...((user === undefined) === (group === undefined)
      ? [{ code: "wrong-value", field: "sudo", what: "a rule is for a user or for a group", expected: "one of both" }]
      : []),
    ...commands
      .filter((command) => !/^\/[^\n]+$/.test(command))
      .map((command) => ({
        ...{ code: "wrong-path", field: "sudo", what: `found the command ${JSON.stringify(command)}` },
        expected: "a program by its absolute path, and its arguments",
      })),
  ];
}

function ruleText({ user, group, commands = [], as = "root", password = true }: SudoRule): string {
  const who = user ?? `%${group}`;
  // sudoers(5): these mean something in a command.
  const what = commands.map((command) => command.replace(/[,:=\\]/g, "\\$&")).join(", ");
  return `${who} ALL=(${as}) ${password ? "" : "NOPASSWD: "}${what === "" ? "ALL" : what}`;
}
