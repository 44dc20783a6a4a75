import { failure } from "../../base/error.ts";
import { isCode } from "./api.ts";
import type { Cluster } from "./cluster.ts";
import { isSlot, type MachineReading, readMachine } from "./machine-state.ts";
import { powerOff, refuseBusy } from "./power.ts";
import { ownerOf, volumeOf } from "./property-string.ts";

/**
 * Makes Proxmox forget a machine that is off, without a disk of it. Proxmox destroys with a machine every volume that bears its
 * number and stands in its settings, `unusedN` and snapshots included, and has no way to take one out of there alive; so
 * this refuses as long as one of them exists. Renamed in the pool, it is safe: Proxmox finds nothing to destroy.
 *
 * @throws MesoError `disk-in-use` with the disks that would be destroyed.
 */
export async function removeMachine(cluster: Cluster, vmid: number): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const found = await readMachine(cluster, vmid);
    if (!found) return;
    refuseBusy(found);
    if (isSetProtection(found)) {
      throw failure("machine-locked", `${found.state.id.name} (${vmid}) is protected against removal`, {
        hint: "switch the option `protection` off",
      });
    }
    if (found.state.power !== "off") {
      throw failure("busy-retry", `${found.state.id.name} (${vmid}) is ${found.state.power}`, {
        hint: "shut it down first",
      });
    }
    const doomed = await existing(cluster, found);
    if (doomed.length > 0) throw wouldDestroy(found, doomed);
    // What HA has not been told to stop it would start again meanwhile.
    await powerOff(cluster, vmid, { graceful: false, deadlineSeconds: removeSeconds, force: false });
    const parameters = {
      "destroy-unreferenced-disks": false,
      // What HA manages goes only with its entry there.
      ...(found.state.managedBy && { purge: true }),
    };
    try {
      await cluster.api.run("DELETE /nodes/{node}/qemu/{vmid}", { node: found.node, vmid }, parameters, removeSeconds);
      return;
    } catch (error) {
      if (isCode(error, "no-machine")) return;
      if (!isCode(error, "unknown-outcome") || attempt === 2) throw error;
    }
  }
}

const removeSeconds = 120;

/** Volumes of the machine's own that its settings name and that are there. */
async function existing(
  cluster: Cluster,
  { node, config, pending, state }: MachineReading,
): Promise<readonly string[]> {
  const vmid = state.id.vmid!;
  const settings = [
    ...Object.entries(config).map(([key, raw]): [string, unknown] => [key, raw]),
    ...pending.flatMap(({ key, pending: raw }): [string, unknown][] => (raw === undefined ? [] : [[key, raw]])),
    ...(await snapshotSettings(cluster, node, state)),
  ];
  const named = settings.flatMap(([key, raw]) =>
    (isSlot(key) || /^unused\d+$/.test(key) || key === "vmstate") && typeof raw === "string"
      ? (volumeOf(raw) ?? [])
      : [],
  );
  const own = [...new Set(named)].filter((volume) => ownerOf(volume) === vmid).sort();
  const storages = [...new Set(own.map((volume) => volume.slice(0, volume.indexOf(":"))))];
  const there = new Set<string>();
  for (const storage of storages) {
    const list = await cluster.api.call("GET /nodes/{node}/storage/{storage}/content", { node, storage }, { vmid });
    for (const { volid } of list) there.add(volid);
  }
  return own.filter((volume) => there.has(volume));
}

async function snapshotSettings(cluster: Cluster, node: string, { id, snapshots }: MachineReading["state"]) {
  const all = await Promise.all(
    snapshots.map((snapshot) =>
      cluster.api.call("GET /nodes/{node}/qemu/{vmid}/config", { node, vmid: id.vmid! }, { snapshot }),
    ),
  );
  return all.flatMap((config): [string, unknown][] => Object.entries(config));
}

function isSetProtection({ config }: MachineReading): boolean {
  return String(config.protection ?? "0") === "1" || config.protection === true;
}

function wouldDestroy({ state }: MachineReading, volumes: readonly string[]) {
  const what = `with ${state.id.name} (${state.id.vmid}) Proxmox would destroy ${volumes.join(", ")}`;
  return failure("disk-in-use", what, {
    expected: "a machine none of whose disks bears its number any more",
    hint: "give them up first: rename the images in the pool (not vm-…), or reassign a disk to another machine",
  });
}
