import type { Credentials, MachineId, MachineSpec } from "../hypervisors/hypervisor.ts";
import type { ImageAbout } from "../pools/about.ts";
import type { ImageName, Lease } from "../pools/pool.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** A simulated data centre: all there is, as plain mutable data. Verbs change it at one virtual moment each. */
export interface World {
  /** Whose images are published here. */
  readonly centre: string;
  readonly clock: VirtualClock;
  readonly images: Map<ImageName, SimulatedImage>;
  /** By `machineKey`. */
  readonly machines: Map<string, SimulatedMachine>;
  readonly documents: Map<string, Uint8Array>;
  readonly journal: string[];
  lease: Lease | undefined;
  /** How a system behaves on a machine. */
  readonly behaviour: (systemHash: string, machine: string) => Behaviour;
  /** Hears of every change, at the moment it happens. */
  readonly watchers: ((event: WorldEvent) => void)[];
  /** Bytes that are left; publishing takes some. */
  freeBytes: number;
  /** Whether a volume can be snapshotted while a machine writes to it. */
  snapshotsLive: boolean;
  /** Seconds that a command takes which an agent runs: a drain, mostly. */
  commandSeconds: number;
}

export interface SimulatedImage {
  readonly size: number;
  readonly about: ImageAbout | undefined;
  readonly parent?: { readonly image: ImageName; readonly snapshot?: string };
  /** Of a root: the system. Of a volume: who wrote to it, in turn. */
  readonly content: readonly string[];
  readonly snapshots: ReadonlyMap<string, readonly string[]>;
}

export interface SimulatedMachine {
  readonly id: MachineId;
  spec: MachineSpec;
  power: "on" | "off" | "paused" | "crashed" | "changing";
  /** What the system inside has got to. */
  guest: "down" | "booting" | "up" | "dead";
  readonly slots: Map<string, SimulatedSlot>;
  readonly staged: Map<string, string>;
  /** Another after each change of the configuration. */
  version: string;
  hasAgent: boolean;
  node: string | undefined;
  managedBy: "ha" | undefined;
  snapshots: string[];
  /** Goes up with each start: a boot that belongs to an earlier one comes to nothing. */
  starts: number;
  /** What it was given to start with. */
  credentials: Credentials;
  /** Commands of drain hooks that were run on it. */
  readonly commands: (readonly string[])[];
}

export interface SimulatedSlot {
  /** As the driver shows it. */
  readonly volume: string;
  /** Options that nobody but its owner may change. */
  readonly options: string;
}

export interface Behaviour {
  /** Its agent answers. */
  readonly boots: boolean;
  /** Checks pass when it is tried, and when it runs. */
  readonly passesTrial: boolean;
  readonly passesChecks: boolean;
  /** Shuts down when it is asked to. */
  readonly obeys: boolean;
  readonly bootSeconds: number;
  readonly shutdownSeconds: number;
}

export const wellBehaved: Behaviour = {
  boots: true,
  passesTrial: true,
  passesChecks: true,
  obeys: true,
  bootSeconds: 20,
  shutdownSeconds: 8,
};

export interface WorldEvent {
  /** Verb of the pool or hypervisor: `attach`, `power-off`. */
  readonly verb: string;
  /** Holder of the executor that did it; undefined for others. */
  readonly by: string | undefined;
  readonly image?: ImageName;
  readonly machine?: string;
  readonly detail?: string;
}

export function emptyWorld(
  centre: string,
  clock: VirtualClock,
  behaviour: World["behaviour"] = () => wellBehaved,
): World {
  return {
    centre,
    clock,
    images: new Map(),
    machines: new Map(),
    documents: new Map(),
    journal: [],
    lease: undefined,
    behaviour,
    watchers: [],
    freeBytes: Number.POSITIVE_INFINITY,
    snapshotsLive: true,
    commandSeconds: 0.05,
  };
}

/** As every driver of the simulation names an image in a slot. */
export function simulatedVolume(image: ImageName): string {
  return `simulated:${image}`;
}

export function machineKey({ name, vmid }: MachineId): string {
  return vmid === undefined ? name : `${vmid}`;
}

export function tell(world: World, event: WorldEvent): void {
  for (const watcher of world.watchers) watcher(event);
}

/** Image of the pool that a slot holds. */
export function imageIn(machine: SimulatedMachine, slot: string): ImageName | undefined {
  const volume = machine.slots.get(slot)?.volume;
  return volume?.startsWith("simulated:") ? volume.slice("simulated:".length) : undefined;
}

/** Machines that have an image open. */
export function openersOf(world: World, image: ImageName): string[] {
  return [...world.machines.values()]
    .filter(({ power }) => power !== "off" && power !== "crashed")
    .filter(({ slots }) => [...slots.values()].some(({ volume }) => volume === simulatedVolume(image)))
    .map(({ id }) => `machine ${id.name}`);
}
