import { failure } from "../../base/error.ts";
import { isCode } from "./api.ts";
import type { Cluster } from "./cluster.ts";
import { readMachine } from "./machine-state.ts";
import { refuseBusy } from "./power.ts";
import { volumeOf } from "./property-string.ts";

/**
 * Destroys a disk that Proxmox lists as unused, and so takes it off the list: when the pool removes it alone, its entry
 * can never be taken out, and after 256 of them no disk can be exchanged any more. Without the right to destroy
 * (Datastore.AllocateSpace) the entry is left.
 */
export async function discardVolume(cluster: Cluster, vmid: number, volume: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const found = await readMachine(cluster, vmid);
    const key = Object.entries(found?.config ?? {}).find(
      ([name, raw]) => /^unused\d+$/.test(name) && volumeOf(String(raw)) === volume,
    )?.[0];
    if (!found || key === undefined) return;
    const { state, node } = found;
    refuseBusy(found);
    const holders = [...state.slots].filter(([, held]) => held.volume === volume).map(([slot]) => slot);
    const waiting = [...state.staged].filter(([, next]) => next === volume).map(([slot]) => slot);
    if (holders.length > 0 || waiting.length > 0) {
      const where = [...holders, ...waiting].join(", ");
      throw failure("disk-in-use", `${volume} is in ${where} of ${state.id.name} (${vmid})`);
    }
    try {
      const parameters = { delete: key, digest: state.version };
      await cluster.api.change("PUT /nodes/{node}/qemu/{vmid}/config", { node, vmid }, parameters, lockSeconds);
      return;
    } catch (error) {
      if (isCode(error, "forbidden")) return;
      // Somebody changed the machine, or the answer is lost, as when destroying takes longer than a proxy waits.
      if (!isCode(error, "conflict", "unknown-outcome") || attempt === 4) throw error;
    }
  }
}

const lockSeconds = 60;
