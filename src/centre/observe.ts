import { hashOf } from "../base/hash.ts";
import { sortedBy } from "../base/order.ts";
import type { HypervisorDriver, MachineId, MachineState } from "../hypervisors/hypervisor.ts";
import type { ImageName, Lease, Pool, PoolImage } from "../pools/pool.ts";
import type { DesiredCentre, DesiredMachine } from "./desired.ts";

/** What pool and hypervisor said at one moment: plain, frozen, with a hash of what decisions rest on. */
export interface Observation {
  readonly centre: string;
  /** Every image of the pool, also foreign ones, sorted by name. */
  readonly images: readonly PoolImage[];
  /** By path; a machine that the hypervisor does not know is absent. */
  readonly machines: Readonly<Record<string, ObservedMachine>>;
  /** Machines of the hypervisor that the program does not have. */
  readonly others: readonly ObservedMachine[];
  /** Of the volumes of machines that may be changed. */
  readonly snapshots: Readonly<Record<ImageName, readonly string[]>>;
  /** Who works on the pool. Not part of the hash. */
  readonly lease?: Lease;
  readonly hash: string;
}

export interface ObservedMachine extends Omit<MachineState, "slots" | "staged"> {
  readonly slots: Readonly<Record<string, ObservedSlot>>;
  readonly staged: Readonly<Record<string, string>>;
}

export interface ObservedSlot {
  readonly volume: string;
  readonly raw: string;
  /** Image of the pool that this is. */
  readonly image?: ImageName;
}

export interface ObserveOptions {
  /** Snapshots of every volume, not only of machines that a deployment would change. */
  readonly allSnapshots?: boolean;
}

/** Reads pool and hypervisor. Takes no lease, changes nothing. */
export async function observe(
  pool: Pool,
  hypervisor: HypervisorDriver,
  desired: DesiredCentre,
  options: ObserveOptions = {},
): Promise<Observation> {
  const [images, states, lease] = await Promise.all([pool.list(), hypervisor.list(), pool.lease()]);
  const imageOf = imagesByVolume(pool, hypervisor, images);
  const machines: Record<string, ObservedMachine> = {};
  const known = new Set<MachineState>();
  for (const { path, id } of desired.machines) {
    const state = states.find((one) => isSameMachine(one.id, id));
    if (!state) continue;
    known.add(state);
    machines[path] = observedMachine(state, imageOf);
  }
  const asked = desired.machines.filter(
    (machine) =>
      options.allSnapshots || mayChange(machine, machines[machine.path], ownImages(images, desired, machine)),
  );
  const volumes = asked.flatMap((machine) =>
    ownImages(images, desired, machine).filter(({ about }) => about?.role === "volume"),
  );
  const snapshots = await Promise.all(volumes.map(async ({ name }) => [name, await pool.snapshots(name)] as const));
  const others = states.filter((state) => !known.has(state)).map((state) => observedMachine(state, imageOf));
  const found = {
    centre: desired.name,
    images,
    machines,
    others: sortedBy(others, ({ id }) => `${id.vmid ?? ""} ${id.name}`),
    snapshots: Object.fromEntries(snapshots),
  };
  const bases = Object.fromEntries(desired.machines.map((machine) => [machine.path, basisOf(found, desired, machine)]));
  return Object.freeze({ ...found, ...(lease && { lease }), hash: hashOf(bases) });
}

/** One machine, looked at again: everything that a step relies on. */
export async function observeMachine(
  pool: Pool,
  hypervisor: HypervisorDriver,
  id: MachineId,
): Promise<ObservedMachine | undefined> {
  const [images, state] = await Promise.all([pool.list(), hypervisor.inspect(id)]);
  return state && observedMachine(state, imagesByVolume(pool, hypervisor, images));
}

/** What is ours and written to be this machine's, sorted by name. */
export function ownImages(
  images: readonly PoolImage[],
  centre: { readonly name: string },
  { path }: { readonly path: string },
): readonly OwnImage[] {
  return images.filter(
    (image): image is OwnImage => image.about?.centre === centre.name && image.about.machine === path,
  );
}

/** An image that says whose it is. */
export type OwnImage = PoolImage & { readonly about: NonNullable<PoolImage["about"]> };

/** What a plan for a machine rests on, in words that can be compared one by one. */
export type Basis = Readonly<Record<string, string>>;

/** Neither clocks nor what changes by itself, such as the node that a machine has moved to. */
export function basisOf(
  observation: Pick<Observation, "images" | "machines">,
  centre: { readonly name: string },
  machine: { readonly path: string; readonly rootSlot: string },
): Basis {
  const state = observation.machines[machine.path];
  const images = ownImages(observation.images, centre, machine).map(({ name, size, about }) => ({
    name,
    size,
    role: about.role,
    ...(about.system && { system: about.system.systemHash, image: about.system.imageHash }),
    ...(about.verdict && { verdict: about.verdict.passed }),
    ...(about.forced !== undefined && { forced: about.forced }),
    ...(about.intent !== undefined && { intent: about.intent }),
    ...(about.shape !== undefined && { shape: about.shape }),
  }));
  const inPool = { images: hashOf(images) };
  if (!state) return { machine: "absent", ...inPool };
  return {
    power: state.power,
    configuration: state.version,
    root: state.slots[machine.rootSlot]?.volume ?? "none",
    staged: Object.entries(state.staged)
      .map(([slot, what]) => `${slot}=${what}`)
      .sort()
      .join(" "),
    busy: state.busy ?? "",
    ...inPool,
  };
}

/** The keys whose values differ, in words: empty when the world has not moved. */
export function basisDifferences(then: Basis, now: Basis): readonly string[] {
  const keys = [...new Set([...Object.keys(then), ...Object.keys(now)])].sort();
  return keys.filter((key) => then[key] !== now[key]).map((key) => basisDifference(key, then[key], now[key]));
}

function basisDifference(key: string, then: string | undefined, now: string | undefined): string {
  if (key === "images") return "its images in the pool are others";
  if (key === "configuration") return "its configuration was changed";
  return `${key} was ${then || "nothing"} and is ${now || "nothing"}`;
}

/** Machines are known by number where they have one: names can be given twice there. */
export function isSameMachine(one: MachineId, other: MachineId): boolean {
  return one.vmid !== undefined && other.vmid !== undefined ? one.vmid === other.vmid : one.name === other.name;
}

function imagesByVolume(
  pool: Pool,
  hypervisor: HypervisorDriver,
  images: readonly PoolImage[],
): ReadonlyMap<string, ImageName> {
  const names = new Map<string, ImageName>();
  for (const { name } of images) {
    const volume = volumeNameOr(hypervisor, pool, name);
    if (volume !== undefined) names.set(volume, name);
  }
  return names;
}

/** Undefined for what the hypervisor could not open: such an image is in none of its slots. */
function volumeNameOr(hypervisor: HypervisorDriver, pool: Pool, name: ImageName): string | undefined {
  try {
    return hypervisor.volumeName(pool.disk(name));
  } catch {
    return undefined;
  }
}

function observedMachine(state: MachineState, imageOf: ReadonlyMap<string, ImageName>): ObservedMachine {
  const slots = sortedBy(state.slots, ([slot]) => slot).map(([slot, { volume, raw }]) => {
    const image = imageOf.get(volume);
    return [slot, { volume, raw, ...(image !== undefined && { image }) }] as const;
  });
  return {
    ...state,
    slots: Object.fromEntries(slots),
    staged: Object.fromEntries(sortedBy(state.staged, ([slot]) => slot)),
  };
}

/** Whether a deployment might take this machine down: only then the snapshots of its volumes matter. */
function mayChange(machine: DesiredMachine, state: ObservedMachine | undefined, images: readonly OwnImage[]): boolean {
  const root = images.find(({ name }) => name === state?.slots[machine.rootSlot]?.image);
  const isSettled =
    state?.power === "on" &&
    root?.about.system?.systemHash === machine.systemHash &&
    root.size === machine.diskSize &&
    root.about.shape === machine.shape &&
    images.every(({ about }) => about.intent === undefined);
  return !isSettled;
}
