import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { RunningMachine } from "./hardware.ts";
import { died } from "./refusal.ts";
import { parseVolume } from "./storages.ts";
import { parseProperties } from "./validate.ts";

/** A machine of the emulated cluster: its configuration file, and what runs of it. Tests may change anything. */
export interface MachineRecord {
  readonly vmid: number;
  node: string;
  /** Whether the list of the cluster's resources has heard of it already. */
  isListed: boolean;
  readonly keys: Map<string, string>;
  /** The section of the file that waits for the next start. */
  readonly pending: Map<string, string>;
  readonly removing: Set<string>;
  readonly snapshots: Map<string, ReadonlyMap<string, string>>;
  running: RunningMachine | undefined;
  /** Managed by HA: what is wished, where it goes at the next start, whether the manager is held up for now. */
  ha: { state: string; moveTo?: string; isHeldUp?: boolean } | undefined;
  /** The end of the last operation that holds the lock file. */
  fileLock: Promise<void>;
  /** Ends a shutdown that hangs. */
  abortShutdown: (() => void) | undefined;
}

export function machineRecord(vmid: number, node: string, keys: Readonly<Record<string, string>> = {}): MachineRecord {
  return {
    ...{ vmid, node, isListed: true, keys: new Map(Object.entries(keys)), pending: new Map(), removing: new Set() },
    ...{
      snapshots: new Map(),
      running: undefined,
      ha: undefined,
      fileLock: Promise.resolve(),
      abortShutdown: undefined,
    },
  };
}

/** SHA-1 of the file's text: every change of any kind gives another. */
export function digestOf(machine: MachineRecord): string {
  const section = (keys: ReadonlyMap<string, string>) => [...keys].sort().map(([key, value]) => `${key}: ${value}\n`);
  const text = [
    ...section(machine.keys),
    ...["[PENDING]\n", ...section(machine.pending), `delete: ${[...machine.removing].sort().join(",")}\n`],
    ...[...machine.snapshots].sort().flatMap(([name, keys]) => [`[${name}]\n`, ...section(keys)]),
  ].join("");
  return createHash("sha1").update(text).digest("hex");
}

/** One operation at a time; whoever comes later waits some seconds for the lock file. */
export async function withFileLock<T>(machine: MachineRecord, seconds: number, body: () => Promise<T>): Promise<T> {
  const before = machine.fileLock;
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const late = new AbortController();
  const timer = sleep(seconds * 1000, "late", { signal: late.signal, ref: false }).catch(() => "free");
  machine.fileLock = before.then(() => held);
  const outcome = await Promise.race([before.then(() => "free"), timer]);
  late.abort();
  if (outcome === "late") {
    release();
    throw died(`can't lock file '/var/lock/qemu-server/lock-${machine.vmid}.conf' - got timeout`);
  }
  try {
    return await body();
  } finally {
    release();
  }
}

/** The configuration's own lock, which only root may set or pass. */
export function refuseLocked(machine: MachineRecord): void {
  const lock = machine.keys.get("lock");
  if (lock !== undefined) throw died(`VM is locked (${lock})`);
}

export const isDiskKey = (key: string): boolean => /^((ide|sata|scsi|virtio)\d+|efidisk0|tpmstate0)$/.test(key);

/** The volume of a disk's value; undefined for an empty drive. */
export function volumeOf(key: string, value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  const format = /^(efidisk0|tpmstate0)$/.test(key) ? key : key.replace(/\d+$/, "");
  const file = parseProperties(format, value).pairs?.get("file");
  return file === "none" || file === "cdrom" ? undefined : file;
}

/** Makes what waits take effect. */
export function applyPending(machine: MachineRecord, only: (key: string) => boolean = () => true): void {
  for (const key of [...machine.removing].filter(only)) {
    const volume = isDiskKey(key) ? volumeOf(key, machine.keys.get(key)) : undefined;
    machine.keys.delete(key);
    machine.removing.delete(key);
    // A disk that comes back later does not come back into the order.
    const boot = machine.keys.get("boot");
    if (boot?.startsWith("order=")) {
      const order = boot.slice(6).split(";");
      machine.keys.set("boot", `order=${order.filter((one) => one !== key).join(";")}`);
    }
    if (volume !== undefined) keepUnused(machine, volume);
  }
  for (const [key, value] of [...machine.pending].filter(([key]) => only(key))) {
    const old = isDiskKey(key) ? volumeOf(key, machine.keys.get(key)) : undefined;
    const now = isDiskKey(key) ? volumeOf(key, value) : undefined;
    machine.keys.set(key, value);
    machine.pending.delete(key);
    if (now !== undefined) {
      for (const unused of unusedKeys(machine)) if (machine.keys.get(unused) === now) machine.keys.delete(unused);
    }
    if (old !== undefined && old !== now) keepUnused(machine, old);
  }
}

/** A volume of its own is listed under the lowest free number; another machine's is dropped silently. */
export function keepUnused(machine: MachineRecord, volume: string): void {
  if (parseVolume(volume).owner !== machine.vmid) return;
  if (unusedKeys(machine).some((key) => machine.keys.get(key) === volume)) return;
  for (let number = 0; number < 256; number++) {
    if (machine.keys.has(`unused${number}`)) continue;
    machine.keys.set(`unused${number}`, volume);
    return;
  }
  throw died("Too many unused volume - please delete them first.");
}

function unusedKeys(machine: MachineRecord): string[] {
  return [...machine.keys.keys()].filter((key) => /^unused\d+$/.test(key));
}

export function bootOrder(machine: MachineRecord): readonly string[] {
  const boot = machine.keys.get("boot") ?? "";
  return boot.startsWith("order=") ? boot.slice(6).split(";").filter(Boolean) : [];
}
