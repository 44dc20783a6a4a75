import type { Problem } from "../base/error.ts";
import type { DiskLocation } from "../pools/pool.ts";
import type { GuestAgent } from "./guest-agent.ts";

/** How a hypervisor knows a machine: by name (QEMU, libvirt) and, on Proxmox, by number. */
export interface MachineId {
  readonly name: string;
  readonly vmid?: number;
}

/** A disk of a machine: which one, and whatever the hypervisor says of it, verbatim. */
export interface SlotState {
  /** As the driver names the disk; comparable with `volumeName(location)`. */
  readonly volume: string;
  readonly raw: string;
}

/** Values of secrets by name: kept in memory, and in no message, plan or log. */
export type Credentials = ReadonlyMap<string, string>;

/** What a hypervisor says of a machine, read at one moment. */
export interface MachineState {
  readonly id: MachineId;
  /** `changing`: a task or lock of the hypervisor is on it. */
  readonly power: "on" | "off" | "paused" | "crashed" | "changing";
  /** Names this configuration: changes are refused when it has become another (compare and swap). */
  readonly version: string;
  readonly slots: ReadonlyMap<string, SlotState>;
  /** Slots that will hold something else at the next start: never ignored, see Proxmox's pending changes. */
  readonly staged: ReadonlyMap<string, string | "remove">;
  /** Volumes that the hypervisor still lists as the machine's, in no slot (Proxmox: unusedN). */
  readonly detached: readonly string[];
  /** Who keeps it busy, in words: a lock, a backup. */
  readonly busy?: string;
  readonly managedBy?: "ha";
  readonly hasAgent: boolean;
  readonly node?: string;
  /** How many times slower than hardware it runs, where that is known: emulated machines. For deadlines. */
  readonly timeScale?: number;
  /** Names of snapshots that pin disks. */
  readonly snapshots: readonly string[];
}

/** What a machine is defined with. Disks are attached afterwards, by `attach`. */
export interface MachineSpec {
  readonly id: MachineId;
  /** Debian's name: `amd64`. */
  readonly architecture: string;
  readonly cores: number;
  readonly memoryMebibytes: number;
  readonly firmware: "bios" | "uefi";
  readonly nics: readonly {
    readonly network: string;
    readonly mac: string;
    readonly tag?: number;
    /** Port of the host's loopback → port of the machine; plain QEMU only. */
    readonly forwards?: Readonly<Record<number, number>>;
  }[];
  readonly node?: string;
  /** Shown by the hypervisor: what runs here and who made it. */
  readonly description: string;
}

export interface PowerOffOptions {
  /** By agent or power button first. */
  readonly graceful: boolean;
  /** Seconds for the graceful part. */
  readonly deadlineSeconds: number;
  /** Cut the power when it takes longer. */
  readonly force: boolean;
}

/**
 * Runs virtual machines. Small verbs without workflow: each first looks whether its goal holds, may be killed and run
 * again. The order of things, snapshots, checks and roll-back live in the room `centre`, once, for all drivers.
 *
 * Errors, closed set: `no-machine`, `forbidden` (privilege and path), `machine-locked` (by whom), `busy-retry`,
 * `conflict` (the configuration is not the expected one), `invalid-setting`, `agent-silent`, `disk-in-use`,
 * `task-failed` (with the log's end), `power-off-timeout`, `unknown-outcome` (answer lost: look again),
 * `hypervisor-unreachable`, `untrusted-certificate`.
 */
export interface HypervisorDriver {
  readonly kind: "qemu" | "libvirt" | "proxmox";
  /** For messages: `libvirt at qemu:///system`. */
  readonly title: string;
  /** Everything that is missing, all at once: reachable, version, privileges, storages, programs. */
  readonly check: (needs: HypervisorNeeds) => Promise<readonly Problem[]>;
  /** Every machine that can be seen. @throws MesoError `forbidden` rather than an empty list without privilege. */
  readonly list: () => Promise<readonly MachineState[]>;
  readonly inspect: (id: MachineId) => Promise<MachineState | undefined>;
  /** Makes the machine exist, off and without disks, or brings cores, memory and nics of an existing one up to date. */
  readonly define: (spec: MachineSpec) => Promise<void>;
  /**
   * What the machine is handed as systemd credentials at each start from now on. They lie where only the hypervisor reads
   * them, until the machine is removed. Those given earlier go, or stay with `keepsOthers`. Absent where the hypervisor
   * hands nothing over: `carryCredentials` does it then, in the running machine.
   */
  readonly giveCredentials?: (
    id: MachineId,
    credentials: Credentials,
    options?: { readonly keepsOthers?: boolean },
  ) => Promise<void>;
  /** Already on: fine. Seconds until the machine runs, not until it has booted. */
  readonly powerOn: (id: MachineId, deadlineSeconds: number) => Promise<void>;
  /** Certain: the process is gone when this returns. */
  readonly powerOff: (id: MachineId, options: PowerOffOptions) => Promise<"graceful" | "forced" | "was-off">;
  /**
   * Puts a disk into a slot of a machine that is off, all other options of the slot kept verbatim; gives the new
   * version. A slot that holds it already is fine.
   * @throws MesoError `conflict` when the configuration is not `expected`; `busy-retry` when the machine is on.
   */
  readonly attach: (
    id: MachineId,
    slot: string,
    disk: DiskLocation,
    expected: string,
    options?: { readonly serial?: string; readonly boot?: boolean },
  ) => Promise<string>;
  /** The name under which the driver would show this disk in a slot. @throws MesoError when it could not open it. */
  readonly volumeName: (disk: DiskLocation) => string;
  readonly agent: (id: MachineId) => GuestAgent;
  /** Text of the serial console from now on; undefined where the hypervisor keeps none. */
  readonly console: (id: MachineId) => AsyncIterable<Uint8Array> | undefined;
  /** Command line that a person runs to get at the console, and one for ssh where a port is forwarded. */
  readonly consoleCommand: (id: MachineId) => readonly string[] | undefined;
  /** Forgets a machine that is off; its disks stay. None of that id is fine. @throws MesoError `busy-retry` when it is on. */
  readonly remove: (id: MachineId) => Promise<void>;
  /**
   * Where the hypervisor keeps a list of the disks that machines once had (Proxmox: unusedN): destroys a disk of that list,
   * with its entry, which nobody could take out any more once the disk is gone. A disk in no list is fine, and so is a
   * hypervisor that does not let us: the pool removes what is left. @throws MesoError `disk-in-use`, `machine-locked`.
   */
  readonly discard?: (disk: DiskLocation) => Promise<void>;
}

export interface HypervisorNeeds {
  readonly machines: readonly MachineId[];
  readonly storages: readonly string[];
  /** Whether machines will be defined, not only swapped. */
  readonly defines: boolean;
}
