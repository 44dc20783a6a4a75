import { failure, MesoError } from "../../base/error.ts";
import type { DiskLocation } from "../../pools/pool.ts";
import { isCode } from "./api.ts";
import type { Cluster } from "./cluster.ts";
import { type MachineReading, requireMachine } from "./machine-state.ts";
import type { MachineConfig } from "./operations.ts";
import { refuseBusy } from "./power.ts";
import { propertyOf, volumeOf, withProperty, withVolume } from "./property-string.ts";

export interface AttachOptions {
  readonly serial?: string;
  readonly boot?: boolean;
}

/** Puts a volume into a slot of a machine that is off: one key, its other options as they were, guarded by the digest. */
export async function attachDisk(
  cluster: Cluster,
  vmid: number,
  slot: string,
  volume: string,
  expected: string,
  options: AttachOptions = {},
): Promise<string> {
  checkOwner(vmid, volume);
  for (let attempt = 0; ; attempt++) {
    const found = await requireMachine(cluster, vmid);
    const wanted = wantedKeys(found, slot, volume, options);
    // What is there already is fine, also when an earlier run put it there and its answer was lost.
    if (wanted === undefined) return found.state.version;
    refuseUnready(found, slot, volume);
    if (found.state.version !== expected) throw changedMeanwhile(found, expected);
    await cluster.checkStorage(found.node, volume.slice(0, volume.indexOf(":")));
    try {
      await put(cluster, found, wanted);
    } catch (error) {
      if (isCode(error, "unknown-outcome") && attempt < 2) continue;
      throw await withTakenBack(cluster, vmid, wanted, error);
    }
    const now = await requireMachine(cluster, vmid);
    if (wantedKeys(now, slot, volume, options) === undefined && now.state.staged.size === 0) return now.state.version;
    const what = `${slot} of ${named(now)} does not hold ${volume} although Proxmox took the change`;
    const holds = now.state.slots.get(slot)?.raw ?? "nothing";
    const instead = `a machine that stays off while its disk is exchanged; ${slot} holds ${holds}`;
    throw await withTakenBack(cluster, vmid, wanted, failure("conflict", what, { expected: instead }));
  }
}

/**
 * The volume's name of a disk in the pool. Proxmox sees only images that are called after a machine: `vm-127-…`.
 * @throws MesoError `invalid-setting`.
 */
export function proxmoxVolume(disk: DiskLocation): string {
  if (disk.kind !== "rbd" || disk.storage === undefined) {
    throw failure("invalid-setting", "Proxmox VE opens disks through its own storages only", {
      expected: 'a Ceph pool with the storage\'s name: cephPool({ pool: "rbd", storage: "ceph" })',
    });
  }
  const volume = attachableVolume(disk);
  if (volume === undefined) {
    throw failure("invalid-setting", `Proxmox VE cannot attach the image ${disk.image}`, {
      expected: "a name that says whose it is: vm-127-root-202309242151",
    });
  }
  return volume;
}

/** Undefined for what Proxmox does not see. */
export function attachableVolume(disk: DiskLocation): string | undefined {
  if (disk.kind !== "rbd" || disk.storage === undefined) return undefined;
  return /^vm-\d+-[A-Za-z0-9._-]+$/.test(disk.image) ? `${disk.storage}:${disk.image}` : undefined;
}

/** The keys to set, or undefined when all is as wished. */
function wantedKeys(
  { config, state }: MachineReading,
  slot: string,
  volume: string,
  { serial, boot }: AttachOptions,
): Readonly<Record<string, string>> | undefined {
  const raw = config[slot as `scsi${number}`];
  const based = raw === undefined || volumeOf(raw) === undefined ? `${volume},discard=on` : withVolume(raw, volume);
  const encoded = serial === undefined ? undefined : encodeURIComponent(serial);
  const value =
    encoded === undefined || propertyOf(based, "serial") === encoded ? based : withProperty(based, "serial", encoded);
  const order = bootOrder(config);
  // Deleting a disk takes it out of the order, setting it again does not put it back: nothing would start.
  const isMissing = boot === true && !order.includes(slot);
  if (raw === value && !isMissing && !state.staged.has(slot) && !state.staged.has("boot")) return undefined;
  return {
    ...(raw !== value || state.staged.has(slot) ? { [slot]: value } : {}),
    ...(isMissing || (state.staged.has("boot") && boot) ? { boot: `order=${[slot, ...order].join(";")}` } : {}),
  };
}

function bootOrder({ boot }: MachineConfig): readonly string[] {
  return (propertyOf(boot ?? "", "order") ?? "").split(";").filter(Boolean);
}

/** The number in the name is the owner: when that machine is destroyed, so is the disk. */
function checkOwner(vmid: number, volume: string): void {
  const owner = /:vm-(\d+)-/.exec(volume)?.[1];
  if (owner === String(vmid)) return;
  throw failure("invalid-setting", `${volume} belongs to machine ${owner ?? "(none)"}, not to ${vmid}`, {
    expected: `a volume named vm-${vmid}-…`,
    hint: `destroying machine ${owner ?? "of that number"} would destroy the disk: rename the image in the pool`,
  });
}

function refuseUnready(found: MachineReading, slot: string, volume: string): void {
  const { state } = found;
  refuseBusy(found);
  if (state.power !== "off") {
    throw failure("busy-retry", `${named(found)} is ${state.power}: its disks are exchanged while it is off`, {
      hint: "shut it down first",
    });
  }
  if (found.haKeepsItOn) {
    throw failure("conflict", `HA starts ${named(found)} again at any moment`, {
      hint: "stop it through Proxmox, so that HA knows, or set its resource to ignored",
    });
  }
  for (const [key, change] of state.staged) {
    if (key === slot && change === volume) continue;
    throw failure("conflict", `a change of ${key} waits in ${named(found)} for its next start: ${change}`, {
      expected: "no pending changes, which would take effect with ours",
      hint: `look at it with \`qm pending ${state.id.vmid}\` and revert or apply it`,
    });
  }
  for (const [key, { volume: held }] of state.slots) {
    // Proxmox would take it: one image in two slots, or in two machines.
    if (key === slot || held !== volume) continue;
    throw failure("disk-in-use", `${volume} is in ${key} of ${named(found)} already`);
  }
}

async function put(cluster: Cluster, { node, state }: MachineReading, keys: Readonly<Record<string, string>>) {
  const path = { node, vmid: state.id.vmid! };
  const parameters = { ...keys, digest: state.version };
  await cluster.api.change("PUT /nodes/{node}/qemu/{vmid}/config", path, parameters, lockSeconds);
}

const lockSeconds = 60;

/** The error, and that of taking back, should that fail as well: then something waits in the machine. */
async function withTakenBack(cluster: Cluster, vmid: number, keys: Readonly<Record<string, string>>, error: unknown) {
  try {
    await takeBack(cluster, vmid, keys);
    return error;
  } catch (second) {
    if (!(error instanceof MesoError && second instanceof MesoError)) return error;
    return new MesoError([...error.problems, ...second.problems]);
  }
}

/** A refused change may wait in the pending section all the same and strike at the next start. Only ours is reverted. */
async function takeBack(cluster: Cluster, vmid: number, keys: Readonly<Record<string, string>>): Promise<void> {
  const { node, pending } = await requireMachine(cluster, vmid);
  const stuck = pending.filter(({ key, pending: value }) => keys[key] !== undefined && sameDisk(value, keys[key]));
  if (stuck.length === 0) return;
  const revert = stuck.map(({ key }) => key).join(",");
  await cluster.api.change("PUT /nodes/{node}/qemu/{vmid}/config", { node, vmid }, { revert }, lockSeconds);
}

/** The server adds the size to what it is given. */
function sameDisk(pending: string | undefined, ours: string): boolean {
  return pending !== undefined && (pending === ours || volumeOf(pending) === volumeOf(ours));
}

function changedMeanwhile(found: MachineReading, expected: string) {
  return failure("conflict", `the settings of ${named(found)} have changed: ${found.state.version}`, { expected });
}

function named({ state }: MachineReading): string {
  return `${state.id.name} (${state.id.vmid})`;
}
