import { sortedBy } from "../base/order.ts";
import type { DesiredMachine, DesiredVolume } from "./desired.ts";
import { freeStamp, isStamp, parseSnapshotName } from "./image-names.ts";
import { parseIntent, type SwapIntent } from "./intent.ts";
import { type Observation, type ObservedMachine, type ObservedSlot, type OwnImage, ownImages } from "./observe.ts";

/** What was observed, as far as it concerns one machine. */
export interface Look {
  readonly machine: DesiredMachine;
  /** Absent: the hypervisor does not know it. */
  readonly state?: ObservedMachine;
  readonly images: readonly OwnImage[];
  /** What its root slot holds. */
  readonly attached?: ObservedSlot;
  /** The root of ours that is attached. */
  readonly current?: OwnImage;
  /** Sorted by stamp. */
  readonly roots: readonly OwnImage[];
  readonly published: readonly OwnImage[];
  readonly candidate?: OwnImage;
  /** Roots on which a swap is noted that was begun and not ended. */
  readonly open: readonly OpenSwap[];
  /** Roots whose note cannot be read. */
  readonly unreadable: readonly OwnImage[];
  readonly volumes: readonly VolumeLook[];
  readonly snapshots: Observation["snapshots"];
}

export interface OpenSwap {
  readonly root: OwnImage;
  readonly intent: SwapIntent;
}

/** A volume of the program and where it is. */
export interface VolumeLook {
  readonly wanted: DesiredVolume;
  /** Absent: there is none yet. */
  readonly found?: OwnImage;
  /** Where it is attached, or will be. */
  readonly slot: string;
  readonly isAttached: boolean;
}

export function lookAt(observation: Observation, machine: DesiredMachine): Look {
  const state = observation.machines[machine.path];
  const images = ownImages(observation.images, { name: observation.centre }, machine);
  const attached = state?.slots[machine.rootSlot];
  const ofRole = (role: string) =>
    sortedBy(
      images.filter(({ about }) => about.role === role),
      ({ about, name }) => `${about.stamp} ${name}`,
    );
  const roots = ofRole("root");
  const current = roots.find(({ name }) => name === attached?.image);
  const candidate = ofRole("candidate").at(-1);
  const noted = roots.filter(({ about }) => about.intent !== undefined);
  const open = noted.flatMap((root) => {
    const intent = parseIntent(root.about.intent!);
    return intent ? [{ root, intent }] : [];
  });
  return {
    machine,
    ...(state && { state }),
    images,
    ...(attached && { attached }),
    ...(current && { current }),
    roots,
    published: ofRole("published"),
    ...(candidate && { candidate }),
    open,
    unreadable: noted.filter((root) => open.every((one) => one.root !== root)),
    volumes: volumesOf(machine, state, images),
    snapshots: observation.snapshots,
  };
}

/** A stamp later than those of everything that the machine has: order of stamps is order of events. */
export function nextStamp({ images }: Look, wished: string): string {
  return freeStamp(
    wished,
    images.filter(({ about }) => about.role !== "volume" && isStamp(about.stamp)).map(({ about }) => about.stamp),
  );
}

/** For snapshots: later than every one that its volumes have, so that a name is never taken for an older moment. */
export function nextSnapshotStamp({ volumes, snapshots }: Look, wished: string): string {
  const names = volumes.flatMap(({ found }) => (found ? (snapshots[found.name] ?? []) : []));
  return freeStamp(
    wished,
    names.flatMap((name) => parseSnapshotName(name)?.stamp ?? []),
  );
}

/**
 * A volume stays in the slot that it is in; a new one takes the first free slot of the root's bus. Inside, machines know
 * volumes by their serials, not by slots.
 */
function volumesOf(
  machine: DesiredMachine,
  state: ObservedMachine | undefined,
  images: readonly OwnImage[],
): VolumeLook[] {
  const [, bus] = /^([a-z]+)/.exec(machine.rootSlot)!;
  const slots = Object.entries(state?.slots ?? {});
  const taken = new Set([machine.rootSlot, ...slots.map(([slot]) => slot), ...Object.keys(state?.staged ?? {})]);
  return machine.volumes.map((wanted) => {
    const candidates = images.filter(({ about }) => about.role === "volume" && about.volume === wanted.name);
    const found = candidates.find(({ name }) => name === wanted.image) ?? candidates[0];
    const slot = found && slots.find(([, { image }]) => image === found.name)?.[0];
    if (found && slot !== undefined) return { wanted, found, slot, isAttached: true };
    let number = 0;
    while (taken.has(`${bus}${number}`)) number++;
    taken.add(`${bus}${number}`);
    return { wanted, ...(found && { found }), slot: `${bus}${number}`, isAttached: false };
  });
}
