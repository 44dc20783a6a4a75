import { failure } from "../base/error.ts";
import { hashOf } from "../base/hash.ts";
import type { ImageAbout } from "../pools/about.ts";
import type { ImageName, PoolImage } from "../pools/pool.ts";
import type { DesiredCentre, DesiredMachine } from "./desired.ts";
import type { Hands } from "./hands.ts";
import { stampOf } from "./image-names.ts";
import { takeLease } from "./lease-keeper.ts";
import { type Basis, basisDifferences, basisOf, type Observation, observe } from "./observe.ts";

/** What taking over a machine writes: on its disks only, which stay where they are and are called what they are called. */
export interface AdoptionPlan {
  readonly hash: string;
  readonly path: string;
  readonly machine: DesiredMachine;
  /** Volumes first, the root last: half an adoption is none. */
  readonly images: readonly { readonly name: ImageName; readonly about: ImageAbout }[];
  /** What a person should read before saying yes. */
  readonly remarks: readonly string[];
  readonly basis: Basis;
}

export interface AdoptionOptions {
  readonly path: string;
  /** Volume of the program → image that is it. What is not said is found by name or serial. */
  readonly volumes?: Readonly<Record<string, ImageName>>;
  /** Seconds since 1970. */
  readonly now: number;
}

/**
 * Takes over a machine that something else made. Its present root becomes the first generation, which a roll-back leads
 * to; its system is unknown, so the next deployment replaces it. Nothing is changed on the hypervisor.
 *
 * @throws MesoError `no-machine`, `already-ours`, `not-in-pool` when its root is not an image of the pool,
 * `wrong-volume` when a disk that was named is not one of its.
 */
export function planAdoption(
  desired: DesiredCentre,
  observation: Observation,
  { path, volumes = {}, now }: AdoptionOptions,
): AdoptionPlan {
  const machine = desired.machines.find((one) => one.path === path);
  if (!machine) throw failure("no-machine", `the centre has no machine ${path}`);
  const state = observation.machines[path];
  if (!state) throw failure("no-machine", `the hypervisor has no ${machine.id.name}: there is nothing to adopt`);
  const imageIn = (slot: string): PoolImage | undefined =>
    observation.images.find(({ name }) => name === state.slots[slot]?.image);
  const root = imageIn(machine.rootSlot);
  if (!root) {
    const holds = state.slots[machine.rootSlot]?.volume ?? "nothing";
    throw failure("not-in-pool", `${machine.rootSlot} of ${path} holds ${holds}`, {
      expected: "an image of the centre's pool, so that it can be gone back to",
      hint: "move the disk into the pool, or say another rootSlot",
    });
  }
  if (root.about) throw failure("already-ours", `${root.name} is ${root.about.machine}'s of ${root.about.centre}`);
  const stamp = stampOf(now);
  const found = machine.volumes.map(({ name, image }) => ({ name, image: diskOf(name, image) }));
  function diskOf(name: string, image: ImageName): ImageName | undefined {
    const said = volumes[name];
    const slots = Object.entries(state!.slots).filter(([slot]) => slot !== machine!.rootSlot);
    const mine = slots.find(([, slot]) =>
      said === undefined ? slot.image === image || hasSerial(slot.raw, name) : slot.image === said,
    )?.[1].image;
    if (said !== undefined && mine === undefined) {
      throw failure("wrong-volume", `${said} is not a disk of ${path}`, {
        expected: slots.flatMap(([, slot]) => slot.image ?? []).join(", ") || "a machine with a second disk",
      });
    }
    return mine;
  }
  const about = { formatVersion: 1 as const, centre: desired.name, machine: path, stamp };
  const matched = found.flatMap(({ name, image }) => (image === undefined ? [] : [{ name, image }]));
  const content = {
    path,
    machine,
    images: [
      ...matched.map(({ name, image }) => ({
        name: image,
        about: { ...about, role: "volume" as const, volume: name },
      })),
      { name: root.name, about: { ...about, role: "root" as const } },
    ],
    remarks: [
      ...found.flatMap(({ name, image }) =>
        image === undefined ? [`volume ${name} was not found among its disks: an empty one will be made`] : [],
      ),
      ...Object.entries(state.slots).flatMap(([slot, { volume, image }]) =>
        slot === machine.rootSlot || matched.some((one) => one.image === image)
          ? []
          : [`${slot} holds ${volume}: left as it is, not snapshotted before swaps`],
      ),
      ...(state.snapshots.length > 0 ? [`snapshots of the machine pin its disks: ${state.snapshots.join(", ")}`] : []),
      ...(state.hasAgent ? [] : ["no guest agent is configured: add it, or checks cannot run"]),
    ],
    basis: basisOf(observation, desired, machine),
  };
  return { hash: hashOf(content), ...content };
}

/** @throws MesoError `world-moved`, or what the pool throws; what was written before is no harm, and is written again. */
export async function executeAdoption(
  plan: AdoptionPlan,
  desired: DesiredCentre,
  hands: Pick<Hands, "pool" | "hypervisor" | "clock" | "holder">,
): Promise<void> {
  const lease = await takeLease(hands, `adopt ${plan.path}`);
  try {
    const observation = await observe(hands.pool, hands.hypervisor, desired);
    const moved = basisDifferences(plan.basis, basisOf(observation, desired, plan.machine));
    // Volumes that an interrupted adoption has taken over already are its images by now.
    if (moved.some((text) => !text.startsWith("its images"))) {
      throw failure("world-moved", `${plan.path} has changed since the plan was made: ${moved.join("; ")}`);
    }
    for (const { name, about } of plan.images) {
      lease.guard();
      const now = observation.images.find((image) => image.name === name)?.about;
      if (now && (now.centre !== about.centre || now.machine !== about.machine)) {
        throw failure("already-ours", `${name} is ${now.machine}'s of ${now.centre} meanwhile`);
      }
      await hands.pool.adopt(name, about);
    }
  } finally {
    await lease.release();
  }
}

/** Proxmox and QEMU write `serial=state`, libvirt `<serial>state</serial>`. */
function hasSerial(raw: string, name: string): boolean {
  return new RegExp(`serial(?:=|>|"\\s*:\\s*")${name}(?![A-Za-z0-9-])`).test(raw);
}
