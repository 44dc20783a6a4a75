import { failure } from "../../base/error.ts";
import type { MachineState, SlotState } from "../hypervisor.ts";
import type { Cluster } from "./cluster.ts";
import type { Operations } from "./operations.ts";
import { propertyOf, volumeOf } from "./property-string.ts";

type Config = Operations["GET /nodes/{node}/qemu/{vmid}/config"]["result"];
type Status = Operations["GET /nodes/{node}/qemu/{vmid}/status/current"]["result"];
type Pending = Operations["GET /nodes/{node}/qemu/{vmid}/pending"]["result"];
type Snapshots = Operations["GET /nodes/{node}/qemu/{vmid}/snapshot"]["result"];

/** A machine as read at one moment, with what the driver's own verbs need beyond the interface. */
export interface MachineReading {
  readonly node: string;
  readonly config: Config;
  readonly pending: Pending;
  readonly status: Status;
  readonly state: MachineState;
  /** HA starts the machine again whenever it finds it stopped. */
  readonly haKeepsItOn: boolean;
}

/** Everything of a machine, or undefined when there is none. The digest before and after makes it one moment. */
export async function readMachine(cluster: Cluster, vmid: number): Promise<MachineReading | undefined> {
  return cluster.onNode(vmid, async (node) => {
    const path = { node, vmid };
    const { call } = cluster.api;
    const config = () => call("GET /nodes/{node}/qemu/{vmid}/config", path, { current: true });
    for (let attempt = 0; attempt < 5; attempt++) {
      const before = await config();
      const [pending, status, snapshots] = await Promise.all([
        call("GET /nodes/{node}/qemu/{vmid}/pending", path),
        call("GET /nodes/{node}/qemu/{vmid}/status/current", path),
        call("GET /nodes/{node}/qemu/{vmid}/snapshot", path),
      ]);
      const after = await config();
      if (before.digest !== after.digest) continue;
      return reading(vmid, node, after, pending, status, snapshots);
    }
    throw failure("busy-retry", `the settings of machine ${vmid} do not come to rest`);
  });
}

/** @throws MesoError `no-machine`. */
export async function requireMachine(cluster: Cluster, vmid: number): Promise<MachineReading> {
  const found = await readMachine(cluster, vmid);
  if (found) return found;
  throw failure("no-machine", `Proxmox has no machine ${vmid}`, { hint: "is the number right? define it first" });
}

/** Keys that hold disks. */
export const isSlot = (key: string): boolean => /^((ide|sata|scsi|virtio)\d+|efidisk0|tpmstate0)$/.test(key);

function reading(
  vmid: number,
  node: string,
  config: Config,
  pending: Pending,
  status: Status,
  snapshots: Snapshots,
): MachineReading {
  const entries = Object.entries(config) as [string, string][];
  const lock = status.lock ?? config.lock;
  const isTemplate = isSet(config.template);
  const ha = status.ha as { managed?: unknown; state?: unknown };
  const isManaged = isSet(ha.managed);
  const haKeepsItOn = isManaged && ["started", "enabled"].includes(String(ha.state ?? "started"));
  const busy = lock !== undefined ? `locked (${lock})` : isTemplate ? "it is a template" : undefined;
  const state: MachineState = {
    id: { name: config.name ?? `VM ${vmid}`, vmid },
    power: power(status, lock),
    version: config.digest,
    slots: new Map(
      entries
        .filter(([key]) => isSlot(key))
        .flatMap(([key, raw]): [string, SlotState][] => {
          const volume = volumeOf(raw);
          return volume === undefined ? [] : [[key, { volume, raw }]];
        }),
    ),
    staged: new Map(
      pending
        .filter(({ key }) => isSlot(key) || key === "boot")
        .flatMap((entry): [string, string][] => {
          if (entry.delete) return [[entry.key, "remove"]];
          if (entry.pending === undefined || entry.pending === entry.value) return [];
          return [[entry.key, (isSlot(entry.key) ? volumeOf(entry.pending) : undefined) ?? entry.pending]];
        }),
    ),
    detached: entries
      .filter(([key]) => /^unused\d+$/.test(key))
      .sort(([a], [b]) => Number(a.slice(6)) - Number(b.slice(6)))
      .flatMap(([, raw]) => volumeOf(raw) ?? []),
    ...(busy !== undefined && { busy }),
    ...(isManaged && { managedBy: "ha" as const }),
    hasAgent: isSet(propertyOf(config.agent ?? "", "enabled")),
    node,
    snapshots: snapshots.map(({ name }) => name).filter((name) => name !== "current"),
  };
  return { node, config, pending, status, state, haKeepsItOn };
}

function isSet(value: unknown): boolean {
  return value === true || ["1", "yes", "on", "true"].includes(String(value ?? "").toLowerCase());
}

/** Locks under which a machine is neither here nor there; beside a backup or snapshot it simply runs or does not. */
const unsettling = new Set(["clone", "create", "migrate", "rollback", "suspending"]);

function power(status: Status, lock: string | undefined): MachineState["power"] {
  if (lock !== undefined && unsettling.has(lock)) return "changing";
  if (status.status === "stopped") return "off";
  switch (status.qmpstatus) {
    case "paused":
    case "prelaunch":
    case "suspended":
      return "paused";
    case "internal-error":
    case "guest-panicked":
    case "io-error":
      return "crashed";
    case "shutdown":
    case "restore-vm":
    case "inmigrate":
    case "finish-migrate":
    case "postmigrate":
      return "changing";
    default:
      return "on";
  }
}
