import { mustHold } from "./access.ts";
import {
  applyPending,
  bootOrder,
  digestOf,
  isDiskKey,
  keepUnused,
  type MachineRecord,
  machineRecord,
  refuseLocked,
  volumeOf,
  withFileLock,
} from "./machine-record.ts";
import { badParameters, died } from "./refusal.ts";
import { parseVolume, sizeText } from "./storages.ts";
import type { Parameters } from "./validate.ts";
import { type Call, machineOf, type Operation, storageOf, volumeSize } from "./world.ts";

/** A machine's settings: read, changed, made, destroyed. */
export const configOperations: Readonly<Record<string, Operation>> = {
  "GET /nodes/{node}/qemu/{vmid}/config": async (call) => {
    const machine = machineOf(call);
    const { current, snapshot } = call.parameters;
    if (snapshot !== undefined) {
      const found = machine.snapshots.get(String(snapshot));
      if (!found) throw died(`snapshot '${snapshot}' does not exist`);
      return { ...typed(found), digest: digestOf(machine) };
    }
    const merged = new Map([...machine.keys, ...(current ? [] : machine.pending)]);
    if (!current) for (const key of machine.removing) merged.delete(key);
    return { ...typed(merged), digest: digestOf(machine) };
  },

  "GET /nodes/{node}/qemu/{vmid}/pending": async (call) => {
    const machine = machineOf(call);
    return [...new Set([...machine.keys.keys(), ...machine.pending.keys()])].sort().map((key) => ({
      key,
      ...(machine.keys.has(key) && { value: machine.keys.get(key) }),
      ...(machine.pending.has(key) && { pending: machine.pending.get(key) }),
      ...(machine.removing.has(key) && { delete: 1 }),
    }));
  },

  "GET /nodes/{node}/qemu/{vmid}/snapshot": async (call) => {
    const machine = machineOf(call);
    const names = [...machine.snapshots.keys()].map((name) => ({ name, description: "" }));
    return [...names, { name: "current", description: "You are here!" }];
  },

  "PUT /nodes/{node}/qemu/{vmid}/config": async (call) => {
    const machine = machineOf(call);
    const { digest, delete: deleted, revert, force, skiplock, ...keys } = call.parameters;
    if (skiplock) throw died("only root may use this option");
    const removed = list(deleted);
    const reverted = list(revert);
    mayChange(call, machine.vmid, [...Object.keys(keys), ...removed, ...reverted]);
    for (const key of removed)
      if (keys[key] !== undefined) throw died(`you can't use '-${key}' and -delete ${key} at the same time`);
    const unchanged = () => {
      if (digest !== undefined && digest !== digestOf(machine))
        throw died("checksum mismatch (file change by other user?)");
    };
    unchanged();
    await withFileLock(machine, call.world.seconds.lock, async () => {
      unchanged();
      refuseLocked(machine);
      for (const key of reverted) revertKey(machine, key);
      for (const key of removed) await removeKey(call, machine, key, force === true);
      // In no order that anybody may rely on.
      for (const [key, value] of Object.entries(keys).reverse()) {
        machine.removing.delete(key);
        const before = machine.pending.get(key);
        if (before !== undefined && isDiskKey(key)) keepUnused(machine, volumeOf(key, before) ?? "");
        machine.pending.set(key, isDiskKey(key) ? await checkedDisk(call, machine, key, String(value)) : plain(value));
      }
      if (machine.running) hotplug(machine);
      else applyPending(machine);
    });
    return null;
  },

  "POST /nodes/{node}/qemu": async (call) => {
    const { world, identity, node, parameters } = call;
    const { vmid: number, start: _, "ha-managed": __, ...keys } = parameters;
    const vmid = Number(number);
    mustHold(identity, `/vms/${vmid}`, ["VM.Allocate"]);
    mayChange(call, vmid, Object.keys(keys));
    if (world.machines.has(vmid))
      throw died(`unable to create VM ${vmid} - VM ${vmid} already exists on node '${world.machines.get(vmid)!.node}'`);
    const machine = machineRecord(vmid, node, {});
    for (const [key, value] of Object.entries(keys)) {
      machine.keys.set(key, isDiskKey(key) ? await checkedDisk(call, machine, key, String(value)) : plain(value));
    }
    if (!machine.keys.has("boot")) {
      const devices = [...machine.keys.keys()].filter((key) => isDiskKey(key) || key === "net0").sort();
      machine.keys.set("boot", `order=${devices.join(";")}`);
    }
    machine.keys.set("smbios1", `uuid=00000000-0000-4000-8000-${String(vmid).padStart(12, "0")}`);
    return world.tasks.begin({ node, type: "qmcreate", id: String(vmid), user: identity.name }, async () => {
      if (world.machines.has(vmid)) throw died(`VM ${vmid} already exists`);
      world.machines.set(vmid, machine);
    });
  },

  "DELETE /nodes/{node}/qemu/{vmid}": async (call) => {
    const { world, identity, node, parameters } = call;
    const machine = machineOf(call);
    const { vmid } = machine;
    if (parameters.skiplock) throw died("only root may use this option");
    if (machine.ha && !parameters.purge) {
      throw died(`unable to remove VM ${vmid} - used in HA resources and purge parameter not set.`);
    }
    if (machine.keys.get("protection") === "1") throw died(`can't remove VM ${vmid} - protection mode enabled`);
    refuseLocked(machine);
    return world.tasks.begin({ node, type: "qmdestroy", id: String(vmid), user: identity.name }, (log) =>
      withFileLock(machine, world.seconds.lock, async () => {
        refuseLocked(machine);
        if (machine.running) throw died(`VM ${vmid} is running - destroy failed`);
        await freeVolumes(call, machine, log, parameters["destroy-unreferenced-disks"] === true);
        world.machines.delete(vmid);
      }),
    );
  },
};

/** Every volume of its own that the settings name, wherever: state disks, `unusedN`, snapshots. */
async function freeVolumes({ world }: Call, machine: MachineRecord, log: (line: string) => void, alsoUnnamed: boolean) {
  const sections = [machine.keys, machine.pending, ...machine.snapshots.values()];
  const named = sections.flatMap((keys) =>
    [...keys].flatMap(([key, value]) => {
      if (isDiskKey(key)) return volumeOf(key, value) ?? [];
      return /^unused\d+$/.test(key) || key === "vmstate" ? value : [];
    }),
  );
  const unnamed: string[] = [];
  for (const [storage, { images }] of alsoUnnamed ? Object.entries(world.storages) : []) {
    const own = [...(await images()).keys()].filter((image) => image.startsWith(`vm-${machine.vmid}-`));
    unnamed.push(...own.map((image) => `${storage}:${image}`));
  }
  for (const volume of new Set([...named, ...unnamed])) {
    const { storage, image, owner } = parseVolume(volume);
    if (owner !== machine.vmid) continue;
    try {
      if (!(await storageOf(world, storage).images()).has(image)) throw died(`rbd: error opening image ${image}`);
      await storageOf(world, storage).remove(image);
      log(`Removing image: 100% complete...done. (${volume})`);
    } catch (error) {
      log(`Could not remove disk '${volume}', check manually: ${(error as Error).message.trim()}`);
    }
  }
}

async function removeKey(call: Call, machine: MachineRecord, key: string, force: boolean): Promise<void> {
  const value = machine.keys.get(key);
  if (/^unused\d+$/.test(key) || (force && isDiskKey(key))) {
    if (value === undefined) return;
    if (machine.keys.get("protection") === "1")
      throw died(`can't remove unused disk '${value}' - protection mode enabled`);
    const volume = isDiskKey(key) ? volumeOf(key, value)! : value;
    const { storage, image } = parseVolume(volume);
    mustHold(call.identity, `/storage/${storage}`, ["Datastore.AllocateSpace"]);
    const holder = [...machine.snapshots].find(([, keys]) =>
      [...keys].some(([name, held]) => isDiskKey(name) && volumeOf(name, held) === volume),
    );
    if (holder) throw died(`volume '${volume}' is still in use (snapshot?)`);
    await storageOf(call.world, storage).remove(image);
    machine.keys.delete(key);
    return;
  }
  if (isDiskKey(key) && machine.keys.get("protection") === "1")
    throw died(`can't remove drive '${key}' - protection mode enabled`);
  machine.pending.delete(key);
  if (value !== undefined) machine.removing.add(key);
}

function revertKey(machine: MachineRecord, key: string): void {
  const value = machine.pending.get(key);
  machine.pending.delete(key);
  machine.removing.delete(key);
  const volume = value !== undefined && isDiskKey(key) ? volumeOf(key, value) : undefined;
  if (volume !== undefined && volume !== volumeOf(key, machine.keys.get(key))) keepUnused(machine, volume);
}

/** Written to a running machine at once, whatever its hotplug option says. */
const fastKeys = new Set(["name", "description", "tags", "onboot", "startup", "protection"]);

/** What can be is plugged in; the rest waits. The disk that it was started from cannot, and **waits all the same**. */
function hotplug(machine: MachineRecord): void {
  const features = (machine.keys.get("hotplug") ?? "network,disk,usb").split(",");
  applyPending(machine, (key) => fastKeys.has(key));
  if (features.includes("network")) applyPending(machine, (key) => /^net\d+$/.test(key));
  if (!features.includes("disk")) return;
  const isBoot = (key: string) => isDiskKey(key) && machine.keys.has(key) && bootOrder(machine).includes(key);
  const refused = [...machine.pending.keys(), ...machine.removing].filter(isBoot);
  applyPending(machine, (key) => isDiskKey(key) && !isBoot(key));
  if (refused.length === 0) return;
  throw badParameters(
    Object.fromEntries(refused.map((key) => [key, `hotplug problem - can't unplug bootdisk '${key}'\n`])),
  );
}

/** The value as the server writes it. Whether another key or machine holds the volume is not looked at. */
async function checkedDisk(call: Call, machine: MachineRecord, key: string, value: string): Promise<string> {
  const volume = volumeOf(key, value);
  if (volume === undefined) return value;
  if (volume.startsWith("/")) throw died("only root can use absolute paths");
  const { storage, owner } = parseVolume(volume);
  storageOf(call.world, storage);
  if (owner !== machine.vmid && !call.identity.privileges(`/storage/${storage}`).has("Datastore.Allocate")) {
    mustHold(call.identity, `/storage/${storage}`, ["Datastore.Audit"]);
    mustHold(call.identity, `/vms/${owner}`, ["VM.Config.Disk"]);
  }
  const size = sizeText(await volumeSize(call.world, volume));
  const parts = value.split(",").filter((part) => !part.startsWith("size="));
  const before = value.split(",").findIndex((part) => part.startsWith("size="));
  return before < 0 ? [...parts, `size=${size}`].join(",") : parts.toSpliced(before, 0, `size=${size}`).join(",");
}

/** Which privilege a key needs (Qemu.pm `$check_vm_modify_config_perm`); some things only the literal root may do. */
function mayChange({ identity }: Call, vmid: number, keys: readonly string[]): void {
  for (const key of keys) {
    if (key === "args" || key === "lock" || key === "arch") throw died(`only root can set '${key}' config`);
    mustHold(identity, `/vms/${vmid}`, [privilegeFor(key)]);
  }
}

function privilegeFor(key: string): string {
  if (isDiskKey(key) || /^unused\d+$/.test(key) || key === "boot" || key === "bootdisk") return "VM.Config.Disk";
  if (/^net\d+$/.test(key)) return "VM.Config.Network";
  if (["cores", "sockets", "cpu", "numa"].includes(key)) return "VM.Config.CPU";
  if (["memory", "balloon"].includes(key)) return "VM.Config.Memory";
  if (/^(hotplug|serial\d+|scsihw|machine|smbios1|vga|tablet|kvm)$/.test(key)) return "VM.Config.HWType";
  return "VM.Config.Options";
}

const numbers = new Set(["cores", "sockets", "balloon", "onboot", "protection", "template", "numa", "kvm", "tablet"]);

function typed(keys: ReadonlyMap<string, string>): Parameters {
  return Object.fromEntries([...keys].map(([key, value]) => [key, numbers.has(key) ? Number(value) : value]));
}

function plain(value: unknown): string {
  return typeof value === "boolean" ? (value ? "1" : "0") : String(value);
}

function list(value: unknown): string[] {
  return value === undefined
    ? []
    : String(value)
        .split(/[,; ]+/)
        .filter(Boolean);
}
