import { failure } from "../../base/error.ts";
import type { HypervisorDriver, MachineState } from "../hypervisor.ts";
import { isCode, proxmoxApi } from "./api.ts";
import { apiAgent } from "./api-agent.ts";
import { attachableVolume, attachDisk, proxmoxVolume } from "./attach-disk.ts";
import { checkAccess, seesAnyMachine } from "./check-access.ts";
import { type Cluster, numberOf, openCluster } from "./cluster.ts";
import { defineMachine } from "./define-machine.ts";
import { discardVolume } from "./discard-volume.ts";
import { readMachine } from "./machine-state.ts";
import { powerOff, powerOn } from "./power.ts";
import { ownerOf } from "./property-string.ts";
import type { ProxmoxOptions } from "./proxmox-options.ts";
import { removeMachine } from "./remove-machine.ts";
import { each } from "./turns.ts";

/** A cluster of Proxmox VE 8 or 9. `close` ends its connections. */
export function proxmoxDriver(options: ProxmoxOptions): HypervisorDriver & { readonly close: () => void } {
  const cluster = openCluster(proxmoxApi(options), options.parallelPerNode);
  /** One change of a machine at a time, a few on a node: more only wait for each other's locks, and give up. */
  const change = <T>(vmid: number, body: () => Promise<T>, node = cluster.lastNode(vmid)): Promise<T> =>
    cluster.turns.machine(vmid, () => (node === undefined ? body() : cluster.turns.node(node, body)));
  return {
    kind: "proxmox",
    title: `Proxmox VE at ${cluster.api.title}`,
    check: (needs) => checkAccess(cluster, needs),
    list: () => list(cluster),
    inspect: async (id) => (await readMachine(cluster, numberOf(id)))?.state,
    define: (spec) => change(numberOf(spec.id), () => defineMachine(cluster, spec), spec.node),
    powerOn: (id, seconds) => change(numberOf(id), () => powerOn(cluster, numberOf(id), seconds)),
    powerOff: (id, how) => change(numberOf(id), () => powerOff(cluster, numberOf(id), how)),
    attach: (id, slot, disk, expected, more) => {
      const vmid = numberOf(id);
      return change(vmid, () => attachDisk(cluster, vmid, slot, proxmoxVolume(disk), expected, more));
    },
    volumeName: proxmoxVolume,
    agent: (id) => apiAgent(cluster, numberOf(id)),
    // Proxmox keeps no text of it; a person gets at the terminal on the machine's node.
    console: () => undefined,
    consoleCommand: (id) => {
      const node = cluster.lastNode(numberOf(id));
      return node === undefined ? undefined : ["ssh", "-t", `root@${node}`, "qm", "terminal", String(id.vmid)];
    },
    discard: async (disk) => {
      const volume = attachableVolume(disk);
      const owner = volume === undefined ? undefined : ownerOf(volume);
      if (volume !== undefined && owner !== undefined) {
        await change(owner, () => discardVolume(cluster, owner, volume));
      }
    },
    remove: (id) => change(numberOf(id), () => removeMachine(cluster, numberOf(id))),
    close: cluster.api.close,
  };
}

const readsAtOnce = 8;

async function list(cluster: Cluster): Promise<readonly MachineState[]> {
  const found = await cluster.machines();
  if (found.length === 0 && !(await seesAnyMachine(cluster))) {
    throw failure("forbidden", "the token may see no machine: Proxmox shows an empty list then", {
      expected: "VM.Audit on the machines",
      hint: "a token made with privilege separation has only what is given to itself: docs/proxmox.md",
    });
  }
  const states = await each(found, readsAtOnce, async ({ vmid, name, node }) => {
    try {
      return (await readMachine(cluster, vmid))?.state;
    } catch (error) {
      // One node that is away must not hide the others, nor make its machines look as if they did not exist.
      if (isCode(error, "unknown-outcome", "hypervisor-unreachable")) return unseen({ vmid, name, node });
      throw error;
    }
  });
  return states.filter((state) => state !== undefined).sort((a, b) => a.id.vmid! - b.id.vmid!);
}

function unseen({ vmid, name, node }: { vmid: number; name: string; node: string }): MachineState {
  return {
    id: { name, vmid },
    power: "changing",
    version: "",
    slots: new Map(),
    staged: new Map(),
    detached: [],
    busy: `its node ${node} does not answer`,
    hasAgent: false,
    node,
    snapshots: [],
  };
}
