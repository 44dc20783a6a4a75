import { createHash } from "node:crypto";
import { lstatSync, mkdirSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { failure, MesoError } from "../../base/error.ts";
import { lock } from "../../store/lock.ts";
import type { HypervisorDriver, MachineId, MachineSpec } from "../hypervisor.ts";
import { attachDisk } from "./attach-disk.ts";
import { checkLibvirt } from "./check-libvirt.ts";
import { checkedName, readDomain, readDomains } from "./domain.ts";
import { giveCredentials, keepsCredentials, removeCredentials } from "./domain-credentials.ts";
import { type DomainType, libvirtArchitecture, newDomain, updatedDomain } from "./domain-definition.ts";
import { volumeName } from "./domain-disks.ts";
import { libvirtAgent } from "./libvirt-agent.ts";
import { consoleCommand, libvirtConsole } from "./libvirt-console.ts";
import { powerOff, powerOn } from "./power.ts";
import { type Virsh, virsh } from "./virsh.ts";

export interface LibvirtOptions {
  /** As `virsh --connect` takes it: `qemu:///system`, `qemu+ssh://root@host/system`. */
  readonly uri: string;
  /** UUID of libvirt's secret that holds the key of the Ceph user; undefined where the cluster asks for none. */
  readonly cephSecret?: string | undefined;
  /** What new machines run on; default: the processor itself, where libvirt says that it can. */
  readonly domainType?: DomainType;
}

/** Drives libvirt by `virsh` and XML: local or over ssh, without a binding that would have to be compiled. */
export function libvirtDriver({ uri, cephSecret, domainType }: LibvirtOptions): HypervisorDriver {
  const connection = virsh(uri);
  const agent = (id: MachineId) => libvirtAgent(connection, id);
  const alone = <T>(id: MachineId, body: () => Promise<T>) => underLock(uri, checkedName(id.name), body);
  return {
    kind: "libvirt",
    title: `libvirt at ${uri}`,
    check: (needs) => checkLibvirt(connection, cephSecret, needs),
    list: async () => (await readDomains(connection)).map(({ state }) => state),
    inspect: async (id) => (await readDomain(connection, id.name))?.state,
    define: (spec) => alone(spec.id, () => define(connection, spec, domainType)),
    ...(keepsCredentials(uri) && {
      giveCredentials: (id, credentials, options) =>
        alone(id, () => giveCredentials(connection, id, credentials, options)),
    }),
    powerOn: (id, deadlineSeconds) => powerOn(connection, id, deadlineSeconds),
    powerOff: (id, options) => powerOff(connection, id, agent(id), options),
    attach: (id, slot, disk, expected, options = {}) =>
      alone(id, () => attachDisk(connection, id, { slot, disk, expected, cephSecret, ...options })),
    volumeName,
    agent,
    console: (id) => libvirtConsole(uri, checkedName(id.name)),
    consoleCommand: (id) => consoleCommand(uri, id.name),
    remove: (id) => alone(id, () => remove(connection, id)),
  };
}

async function define(connection: Virsh, spec: MachineSpec, type: DomainType | undefined): Promise<void> {
  await refuseImpossibleNics(connection, spec);
  const domain = await readDomain(connection, spec.id.name);
  if (!domain) {
    const input = newDomain(spec, type ?? (await bestType(connection, spec)));
    await connection.run(["define", "/dev/stdin"], { input, changes: true });
    return;
  }
  // The passwords of displays are shown only on request, and forgotten when they are not given back.
  const text = await connection.run(["dumpxml", spec.id.name, "--inactive", "--security-info"]);
  const input = updatedDomain(text, spec);
  if (input !== text) await connection.run(["define", "/dev/stdin"], { input, changes: true });
}

async function refuseImpossibleNics(connection: Virsh, { id, nics }: MachineSpec): Promise<void> {
  const forwarded = nics.find(({ forwards }) => Object.keys(forwards ?? {}).length > 0);
  if (forwarded) {
    throw failure("invalid-setting", `${id.name} forwards ports of the host`, {
      field: "nics.forwards",
      expected: "no forwards: they are plain QEMU's; on libvirt, give the machine a network that can be reached",
    });
  }
  const wanted = nics.map(({ network }) => network).filter((network) => network !== "user");
  if (wanted.length === 0) return;
  const known = (await connection.run(["net-list", "--all", "--name"])).split("\n").map((line) => line.trim());
  const bridged = (await readDomain(connection, id.name))?.text ?? "";
  const unknown = wanted.find((network) => !known.includes(network) && !bridged.includes(`bridge='${network}'`));
  if (unknown === undefined) return;
  throw failure("invalid-setting", `${connection.uri} has no network ${unknown}`, {
    field: "nics.network",
    expected: ["user", ...known.filter((name) => name !== "")].join(", "),
    hint: "virsh net-define makes one; docs/libvirt.md shows a network for a bridge of the host",
  });
}

async function bestType(connection: Virsh, { architecture }: MachineSpec): Promise<DomainType> {
  const { arch, machine } = libvirtArchitecture(architecture);
  const question = ["domcapabilities", "--virttype", "kvm", "--arch", arch, "--machine", machine];
  try {
    await connection.run(question);
    return "kvm";
  } catch (error) {
    if (error instanceof MesoError && ["invalid-setting", "task-failed"].includes(error.code)) return "qemu";
    throw error;
  }
}

async function remove(connection: Virsh, id: MachineId): Promise<void> {
  const domain = await readDomain(connection, id.name);
  if (!domain) return;
  if (!domain.isGone) {
    throw failure("busy-retry", `${id.name} is ${domain.stateWords}`, { hint: "power it off first" });
  }
  await removeCredentials(connection, id, domain.root);
  // Never with a flag that names storage: whatever disks hold is the pool's.
  const flags = ["--nvram", "--managed-save", "--snapshots-metadata", "--checkpoints-metadata"];
  await connection.run(["undefine", id.name, ...flags], { changes: true });
}

/** Libvirt's last definition wins: two of this user on this host take turns. Others are noticed by comparing. */
async function underLock<T>(uri: string, name: string, body: () => Promise<T>): Promise<T> {
  const path = join(lockFolder(), createHash("sha256").update(`${uri} ${name}`).digest("hex").slice(0, 32));
  const held = await lock(path, { patience: lockPatienceMilliseconds }).catch((error: unknown) => {
    if (!(error instanceof MesoError) || error.code !== "store-busy") throw error;
    throw failure("machine-locked", `${name} on libvirt: ${error.message}`);
  });
  try {
    return await body();
  } finally {
    held.release();
  }
}

const lockPatienceMilliseconds = 60_000;

/** Ours alone: in a folder of somebody else's, a lock says nothing. */
function lockFolder(): string {
  const { uid } = userInfo();
  const folder = join(process.env.XDG_RUNTIME_DIR || tmpdir(), `meso-libvirt-${uid}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const found = lstatSync(folder);
  if (found.isDirectory() && found.uid === uid && (found.mode & 0o022) === 0) return folder;
  throw failure("forbidden", `${folder} is not ours alone`, { hint: "look who made it, and remove it" });
}
