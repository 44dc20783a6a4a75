import type { UserAccount, UserGroup } from "../language/account.ts";
import { factsOf } from "../language/record.ts";
import type { Received } from "../language/service-type.ts";
import { extend } from "../language/service-type.ts";
import { etcFile, etcFiles } from "./essential-files.ts";
import { collector, systemRoot } from "./essential-part.ts";

/** Users and groups, made by `userAccount` and `userGroup`. Numbers are given when the system is lowered. */
export const accounts = collector<UserAccount | UserGroup>({
  name: "accounts",
  description: "Users and groups, with fixed numbers.",
  extensions: [
    extend(systemRoot, ({ items }) => ({ users: usersOf(items), groups: items.filter(isGroup) })),
    extend(etcFiles, ({ items }) =>
      usersOf(items)
        .filter(({ value }) => value.authorizedKeys.length > 0)
        // Owned by root and outside of homes, which may lie on a volume of their own.
        .map(({ value }) => etcFile(authorizedKeysPath(value.name), `${value.authorizedKeys.join("\n")}\n`)),
    ),
  ],
});

/** Where the keys that may log in as a user are; for sshd's `AuthorizedKeysFile`: `%u` for the name. */
export function authorizedKeysPath(userName: string): string {
  return `/etc/ssh/authorized_keys.d/${userName}`;
}

type Item = Received<UserAccount | UserGroup>;

function isGroup(item: Item): item is Received<UserGroup> {
  return factsOf(item.value)?.kind === "userGroup";
}

function usersOf(items: readonly Item[]): readonly Received<UserAccount>[] {
  return items.filter((item): item is Received<UserAccount> => factsOf(item.value)?.kind === "userAccount");
}
