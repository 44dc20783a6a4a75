import { parseSize } from "../base/size.ts";
import { aBoolean, aList, aNumber, aRecord, aString, aTable, aWord, orUndefined } from "./check.ts";
import type { Check, Complaint } from "./complaint.ts";
import type { OperatingSystem } from "./operating-system.ts";
import type { DrainHook, Hypervisor, Pool } from "./places.ts";
import type { InputFor, RecordOf } from "./record.ts";
import { recordType } from "./record.ts";

interface VolumeFields {
  /** `"20GiB"`: thin. Growing is done by hand; it never shrinks. */
  size: string;
  /** What becomes of its contents when a new root fails its checks and the old one comes back. */
  onRollBack: "keep" | "restore";
  /** How many snapshots from before a swap are kept. */
  keepSnapshots: number;
}

/** A disk whose contents outlive every root: snapshotted before each swap, never made anew by a deployment. */
export type Volume = RecordOf<VolumeFields, "size">;

const aSize: Check = (value) => {
  const expected = 'a size with its unit: "20GiB"';
  if (typeof value !== "string") return [{ code: "wrong-type", what: `found ${typeof value}`, expected }];
  try {
    return parseSize(value) > 0 ? [] : [{ code: "wrong-value", what: `found ${value}`, expected }];
  } catch {
    return [{ code: "wrong-value", what: `found ${JSON.stringify(value)}`, expected }];
  }
};

export const volume = recordType<VolumeFields, "size">({
  kind: "volume",
  defaults: () => ({ onRollBack: "keep", keepSnapshots: 3 }),
  fields: { size: aSize, onRollBack: aWord(["keep", "restore"]), keepSnapshots: aNumber(1, 100) },
});

interface NicFields {
  /** Name of the network on the hypervisor: Proxmox's bridge, libvirt's network. Plain QEMU has its user network. */
  network: string;
  /** Default: drawn from the machine's name and the place in the list, so that it stays. */
  mac: string | undefined;
  /** VLAN, 1 to 4094. */
  tag: number | undefined;
  /** Plain QEMU only: port of the host's loopback → port of the machine. */
  forwards: Readonly<Record<number, number>>;
}

export type Nic = RecordOf<NicFields, never>;

export const nic = recordType<NicFields, never>({
  kind: "nic",
  defaults: () => ({ network: "user", mac: undefined, tag: undefined, forwards: {} }),
  fields: {
    network: aString("a network's name", (name) => /^[A-Za-z0-9_.-]{1,60}$/.test(name)),
    mac: orUndefined(aString("52:54:00:12:34:56", (mac) => /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac))),
    tag: orUndefined(aNumber(1, 4094)),
    forwards: aTable(aNumber(1, 65535)),
  },
});

interface MachineFields {
  os: OperatingSystem;
  /** Number on Proxmox VE; needed there. */
  vmid: number | undefined;
  /** Node of the cluster that a machine is defined on; it may move later. */
  node: string | undefined;
  cores: number;
  /** `"16GiB"` */
  memory: string;
  firmware: "bios" | "uefi";
  /** Of the root disk, thin. */
  diskSize: string;
  /** The disk key that holds the root: Proxmox's name for it, also used as libvirt's alias. */
  rootSlot: string;
  nics: readonly Nic[];
  /** Disks that last, by name. A name becomes the disk's serial: /dev/disk/by-id/…-<name>. */
  volumes: Readonly<Record<string, Volume>>;
  /** Redundancy group, of which only so many may be down at once. */
  group: string | undefined;
  /** Machines of a lower wave are swapped, and checked, before those of a higher one. 0 is the canary. */
  wave: number;
  /** Seconds for a shutdown through the agent. */
  shutdownSeconds: number;
  /** Whether the power may be cut when the shutdown takes longer. */
  mayCutPower: boolean;
  /** Seconds for the new root to answer and pass its checks. */
  bootSeconds: number;
  /** What happens on other machines before this one goes down, and after it is back. */
  drain: readonly DrainHook[];
}

/** A virtual machine: the system it runs, its size, and how it is taken down and up. */
export type Machine = RecordOf<MachineFields, "os">;

export const machine = recordType<MachineFields, "os">({
  kind: "machine",
  defaults: () => ({
    vmid: undefined,
    node: undefined,
    cores: 1,
    memory: "1GiB",
    firmware: "bios",
    diskSize: "32GiB",
    rootSlot: "scsi0",
    nics: [nic({})],
    volumes: {},
    group: undefined,
    wave: 1,
    shutdownSeconds: 60,
    mayCutPower: true,
    bootSeconds: 120,
    drain: [],
  }),
  fields: {
    os: aRecord("operatingSystem"),
    vmid: orUndefined(aNumber(100, 999_999_999)),
    node: orUndefined(aString("a node's short name", (name) => /^[A-Za-z0-9-]{1,63}$/.test(name))),
    cores: aNumber(1, 1024),
    memory: aSize,
    firmware: aWord(["bios", "uefi"]),
    diskSize: aSize,
    rootSlot: aString("a disk key: scsi0", (slot) => /^(scsi|virtio|sata)\d{1,2}$/.test(slot)),
    nics: aList(aRecord("nic")),
    volumes: aTable(aRecord("volume")),
    group: orUndefined(aString("a group's name", (name) => /^[A-Za-z0-9_-]{1,63}$/.test(name))),
    wave: aNumber(0, 99),
    shutdownSeconds: aNumber(1, 3600),
    mayCutPower: aBoolean,
    bootSeconds: aNumber(1, 3600),
    drain: aList(aRecord("drainHook")),
  },
});

interface GroupFields {
  /** How many of its machines may be down at the same time. */
  mayBeDown: number;
}

export type Group = RecordOf<GroupFields, never>;

/** A redundancy group: machines that stand in for each other. */
export const group = recordType<GroupFields, never>({
  kind: "group",
  defaults: () => ({ mayBeDown: 1 }),
  fields: { mayBeDown: aNumber(1, 1000) },
});

interface CentreFields {
  name: string;
  pool: Pool;
  hypervisor: Hypervisor;
  /** By path: `"slurm/ctld"`. The path names images and, its last word last, the machine on the hypervisor. */
  machines: Readonly<Record<string, Machine>>;
  /** Groups that machines name; one that is named only there lets one of its machines be down. */
  groups: Readonly<Record<string, Group>>;
  /** Swaps at once, in all and on each node of the hypervisor. */
  parallel: number;
  parallelPerNode: number;
  /** Generations of a machine's root that `prune` keeps beside those in use. */
  keepGenerations: number;
}

/** Everything a computing centre runs on its hypervisor. */
export type Centre = RecordOf<CentreFields, "name" | "pool" | "hypervisor" | "machines">;
export type CentreInput = InputFor<CentreFields, "name" | "pool" | "hypervisor" | "machines">;

export const centre = recordType<CentreFields, "name" | "pool" | "hypervisor" | "machines">({
  kind: "centre",
  defaults: () => ({ groups: {}, parallel: 4, parallelPerNode: 2, keepGenerations: 3 }),
  fields: {
    name: aString("letters, digits and hyphens", (name) => /^[A-Za-z0-9][A-Za-z0-9-]{0,62}$/.test(name)),
    pool: aRecord("directoryPool", "cephPool"),
    hypervisor: aRecord("qemu", "libvirt", "proxmox"),
    machines: aTable(aRecord("machine")),
    groups: aTable(aRecord("group")),
    parallel: aNumber(1, 64),
    parallelPerNode: aNumber(1, 16),
    keepGenerations: aNumber(1, 1000),
  },
  validate: ({ machines, groups, hypervisor }) => [
    ...Object.keys(machines).flatMap(wrongPath),
    ...clashes(Object.keys(machines)),
    ...Object.entries(machines).flatMap(([path, one]) => [
      ...(hypervisor.kind === "proxmox" && one.vmid === undefined ? [missingNumber(path)] : []),
      ...(one.group !== undefined && Object.keys(groups).length > 0 && !groups[one.group]
        ? [unknownGroup(path, one.group, Object.keys(groups))]
        : []),
    ]),
    ...sameNumbers(machines),
  ],
});

/** `slurm/ctld` → `slurm-ctld`: what images and machines are called; not injective, so `centre` refuses clashes. */
export function machineName(path: string): string {
  return path.replaceAll("/", "-");
}

function wrongPath(path: string): Complaint[] {
  if (/^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\/[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(path) && path.length <= 63) return [];
  const what = `found the machine ${JSON.stringify(path)}`;
  const expected = 'small letters, digits and inner hyphens, folders before a slash: "slurm/ctld"';
  return [{ code: "wrong-machine-name", field: "machines", what, expected }];
}

function clashes(paths: readonly string[]): Complaint[] {
  const seen = new Map<string, string>();
  return paths.flatMap((path) => {
    const name = machineName(path);
    const other = seen.get(name);
    seen.set(name, path);
    if (other === undefined) return [];
    const what = `${other} and ${path} would both be called ${name}`;
    return [{ code: "same-machine-name", field: "machines", what, hint: "rename one of them" }];
  });
}

function missingNumber(path: string): Complaint {
  const what = `${path} has no vmid, which Proxmox VE knows machines by`;
  return { code: "missing-vmid", field: `machines[${JSON.stringify(path)}].vmid`, what, expected: "a number from 100" };
}

function unknownGroup(path: string, name: string, known: readonly string[]): Complaint {
  return {
    code: "unknown-group",
    field: `machines[${JSON.stringify(path)}].group`,
    what: `the centre has no group ${name}`,
    expected: `one of ${known.join(", ")}`,
  };
}

function sameNumbers(machines: Readonly<Record<string, Machine>>): Complaint[] {
  const seen = new Map<number, string>();
  return Object.entries(machines).flatMap(([path, { vmid }]) => {
    if (vmid === undefined) return [];
    const other = seen.get(vmid);
    seen.set(vmid, path);
    if (other === undefined) return [];
    return [{ code: "same-vmid", field: "machines", what: `${other} and ${path} both have the number ${vmid}` }];
  });
}
