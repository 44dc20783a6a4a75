import type { Complaint } from "../language/complaint.ts";
import type { Endpoint } from "../language/endpoint.ts";
import type { Secret } from "../language/secret.ts";
import type { PamRule } from "../system/essential-login.ts";

/** What every client of a directory has to know. */
export interface LdapClientOptions {
  readonly servers: readonly (Endpoint<"ldap"> | Endpoint<"ldaps">)[];
  readonly base: string;
  readonly authority?: string | undefined;
  readonly bind?: { readonly dn: string; readonly password: Secret } | undefined;
  readonly homes?: boolean;
  readonly sshKeys?: boolean;
}

export const ldapClientDescriptions = {
  servers: "Where the directory is; those after the first are asked while it does not answer.",
  base: "Name of the tree, or of its part, where people and groups are: dc=example,dc=org.",
  authority:
    "File of the certificate by which the servers are known, in PEM form: with it nothing is sent in the clear.",
  bind: "Who the machine is for the directory, where it answers nobody else; the password is a secret.",
  homes: "Whether people's homes are made when they first log in; not where they come from elsewhere.",
  sshKeys: "Whether people may log in with the SSH keys that the directory has of them (sshPublicKey).",
} as const;

export const ldapClientDefaults = { authority: undefined, bind: undefined, homes: true, sshKeys: true } as const;

export function ldapClientMistakes({ servers, base, bind, authority }: LdapClientOptions): Complaint[] {
  const names = { base, ...(bind && { bind: bind.dn }) };
  return [
    ...(servers.length > 0 ? [] : [{ code: "missing-field", field: "servers", what: "no server is named" }]),
    ...Object.entries(names)
      .filter(([, name]) => !/^[A-Za-z][A-Za-z0-9-]*=[^\n]+$/.test(name))
      .map(([field, name]) => ({
        ...{ code: "wrong-name", field, what: `found ${JSON.stringify(name)}` },
        expected: "dc=example,dc=org",
      })),
    ...(authority === undefined || /^\/\S+$/.test(authority)
      ? []
      : [{ code: "wrong-path", field: "authority", what: `found ${authority}`, expected: "an absolute path" }]),
  ];
}

/** Names where the servers are known by certificates, addresses where they are not. */
export function ldapUris({ servers, authority }: Pick<LdapClientOptions, "servers" | "authority">): string[] {
  return servers.map(({ kind, host, address, port }) => {
    const plain = address.includes(":") ? `[${address}]` : address;
    return `${kind}://${authority === undefined ? plain : host}:${port}`;
  });
}

/** Whether connections begin in the clear and are encrypted from then on. */
export function startsTls({ servers, authority }: Pick<LdapClientOptions, "servers" | "authority">): boolean {
  return authority !== undefined && servers.some(({ kind }) => kind === "ldap");
}

/** Makes homes of people whom the machine has never seen. */
export const homesRule: PamRule = {
  ...{ stack: "session", block: "additional", priority: 0 },
  ...{ control: "required", module: "pam_mkhomedir.so umask=0077" },
};
