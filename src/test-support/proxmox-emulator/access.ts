import type { Endpoint, PermissionCheck } from "../../hypervisors/proxmox/schema.testing.ts";
import { Refusal } from "./refusal.ts";

/** What a path gives: `{ "/vms/127": ["VM.Audit"] }`; handed down to paths below. */
export type Grants = Readonly<Record<string, readonly string[]>>;

export interface TokenOptions {
  /** Default: `root@pam`, who may everything. */
  readonly user?: string;
  readonly name?: string;
  /** Default, as in Proxmox: only what is given to the token itself, cut down to what its user has. */
  readonly privilegeSeparation?: boolean;
  readonly grants?: Grants;
}

/** Who asks. A token of root is not root where the literal user is looked at. */
export interface Identity {
  /** As tasks name it: `root@pam!deploy`. */
  readonly name: string;
  readonly privileges: (path: string) => ReadonlySet<string>;
}

export interface Access {
  /** The secret line for the header. @throws Error for privileges that this release does not have. */
  readonly makeToken: (options?: TokenOptions) => string;
  readonly setUser: (user: string, grants: Grants) => void;
  readonly identify: (header: string | undefined) => Identity;
}

export function access(version: 8 | 9): Access {
  const users = new Map<string, Grants>();
  const tokens = new Map<string, { user: string; separated: boolean; grants: Grants }>();
  const refuseUnknown = (grants: Grants) => {
    // Each release refuses a role that names a privilege of the other.
    const foreign = version === 8 ? /^VM\.GuestAgent\./ : /^VM\.Monitor$/;
    const wrong = Object.values(grants)
      .flat()
      .find((privilege) => foreign.test(privilege));
    if (wrong !== undefined) throw new Error(`invalid privilege '${wrong}'`);
  };
  const of = (grants: Grants, path: string) => new Set(held(grants, path));
  const ofUser = (user: string, path: string): ReadonlySet<string> =>
    user === "root@pam" ? everything(version) : of(users.get(user) ?? {}, path);
  return {
    makeToken: ({ user = "root@pam", name = "deploy", privilegeSeparation = true, grants = {} } = {}) => {
      refuseUnknown(grants);
      const secret = crypto.randomUUID();
      tokens.set(`${user}!${name}=${secret}`, { user, separated: privilegeSeparation, grants });
      return `${user}!${name}=${secret}`;
    },
    setUser: (user, grants) => {
      refuseUnknown(grants);
      users.set(user, grants);
    },
    identify: (header) => {
      const given = /^PVEAPIToken=(.+)$/.exec(header ?? "")?.[1];
      const token = given === undefined ? undefined : tokens.get(given);
      if (!token) throw new Refusal(401, given === undefined ? "No ticket" : "invalid token value!");
      return {
        name: given!.slice(0, given!.indexOf("=")),
        privileges: (path) => {
          const users = ofUser(token.user, path);
          return token.separated ? of(token.grants, path).intersection(users) : users;
        },
      };
    },
  };
}

/** The deepest entry on the way to a path decides. */
function held(grants: Grants, path: string): readonly string[] {
  const parts = path.split("/").filter(Boolean);
  for (let length = parts.length; length >= 0; length--) {
    const found = grants[`/${parts.slice(0, length).join("/")}`];
    if (found) return found;
  }
  return [];
}

const everything = (version: 8 | 9) =>
  new Set([
    ...["VM.Audit", "VM.PowerMgmt", "VM.Allocate", "VM.Snapshot", "VM.Console", "VM.Config.Disk", "VM.Config.CDROM"],
    ...["VM.Config.CPU", "VM.Config.Memory", "VM.Config.Network", "VM.Config.HWType", "VM.Config.Options"],
    ...["Datastore.Audit", "Datastore.AllocateSpace", "Datastore.Allocate", "SDN.Use", "Sys.Audit", "Sys.Modify"],
    ...(version === 8
      ? ["VM.Monitor"]
      : ["Audit", "FileRead", "FileWrite", "FileSystemMgmt", "Unrestricted"].map((name) => `VM.GuestAgent.${name}`)),
  ]);

/** Before anything is looked at: an unknown machine is a 403 for who may not see it. */
export function checkPermission(
  endpoint: Endpoint,
  version: 8 | 9,
  identity: Identity,
  path: Readonly<Record<string, string>>,
): void {
  const check = (version === 8 ? endpoint.permissionsIn8?.check : undefined) ?? endpoint.permissions.check;
  if (!check) return;
  const [, template, privileges] = check;
  const where = template.replace(/\{(\w+)\}/g, (_, name: string) => path[name] ?? "");
  mustHold(identity, where, privileges, wantsAny(check));
}

export function mustHold(identity: Identity, path: string, privileges: readonly string[], any = false): void {
  const held = identity.privileges(path);
  const isEnough = any ? privileges.some((one) => held.has(one)) : privileges.every((one) => held.has(one));
  if (isEnough) return;
  throw new Refusal(403, `Permission check failed (${path}, ${privileges.join(any ? "|" : ",")})\n`);
}

const wantsAny = (check: PermissionCheck) => check.includes("any");
