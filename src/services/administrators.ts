import { userAccount } from "../language/account.ts";
import { extend, serviceType } from "../language/service-type.ts";
import { accounts, authorizedKeysPath } from "../system/essential-accounts.ts";
import { etcFile, etcFiles } from "../system/essential-files.ts";
import { sudoers } from "../system/essential-login.ts";

export interface Administrator {
  readonly name: string;
  /** OpenSSH public keys, one an item. */
  readonly authorizedKeys: readonly string[];
  readonly uid?: number;
  readonly comment?: string;
}

export interface AdministratorsOptions {
  readonly people: readonly Administrator[];
  readonly sudo?: "no" | "password" | "without-password";
  readonly rootKeys?: readonly string[];
}

/** The people who run the machine: accounts, SSH keys, and sudo. */
export const administrators = serviceType<AdministratorsOptions>({
  name: "administrators",
  description: "Login accounts of the people who run the machine, with their SSH keys and the right to become root.",
  options: {
    people: "Name, SSH public keys, number and full name of each.",
    sudo: "Whether they may become root by sudo: no, password, or without-password.",
    rootKeys: "SSH public keys that log in as root directly.",
  },
  defaults: { sudo: "without-password", rootKeys: [] },
  extensions: [
    extend(accounts, ({ people }) =>
      people.map(({ name, authorizedKeys, uid, comment = "" }) =>
        userAccount({
          name,
          authorizedKeys,
          comment,
          supplementaryGroups: ["adm", "systemd-journal"],
          ...(uid === undefined ? {} : { uid }),
        }),
      ),
    ),
    extend(etcFiles, ({ rootKeys }) =>
      rootKeys.length > 0 ? [etcFile(authorizedKeysPath("root"), `${rootKeys.join("\n")}\n`)] : [],
    ),
    extend(sudoers, ({ people, sudo }) =>
      sudo === "no"
        ? []
        : people.map(({ name }) => `${name} ALL=(ALL:ALL) ${sudo === "without-password" ? "NOPASSWD: " : ""}ALL`),
    ),
  ],
});
