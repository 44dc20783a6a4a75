import { hashOf } from "../base/hash.ts";
import { sortedBy } from "../base/order.ts";
import type { ImageName } from "../pools/pool.ts";
import type { DesiredCentre } from "./desired.ts";
import { parseSnapshotName } from "./image-names.ts";
import { parseIntent } from "./intent.ts";
import type { Observation, OwnImage } from "./observe.ts";

/** What is no longer needed, decided: removed in this order. */
export interface PrunePlan {
  /** Of everything below. */
  readonly hash: string;
  readonly removals: readonly Removal[];
  /** What a person may want to remove by hand: nothing here ever does. */
  readonly leftovers: readonly string[];
}

export interface Removal {
  readonly kind: "image" | "snapshot" | "document";
  readonly name: string;
  /** Of a snapshot. */
  readonly volume?: ImageName;
  readonly why: string;
}

/**
 * Old roots, candidates, publications, copies for trials, snapshots beyond what volumes keep, descriptions of systems
 * that are gone. Never what a machine has, what a way back needs, what something else is a clone of, or a volume.
 *
 * @param observation with all snapshots
 * @param documents names of the pool's documents
 */
export function planPrune(desired: DesiredCentre, observation: Observation, documents: readonly string[]): PrunePlan {
  const ours = observation.images.filter((image): image is OwnImage => image.about?.centre === desired.name);
  const needed = neededImages(desired, observation, ours);
  const going = withoutParents(
    ours.filter(({ name, about }) => about.role !== "volume" && !needed.has(name)),
    observation,
  );
  const goingNames = new Set(going.map(({ name }) => name));
  const content = {
    removals: [
      ...going.map(({ name, about }): Removal => ({ kind: "image", name, why: whyImage(about.role) })),
      ...snapshotRemovals(desired, observation, ours),
      ...documentRemovals(desired, observation, goingNames, documents),
    ],
    leftovers: leftovers(desired, ours),
  };
  return { hash: hashOf(content), ...content };
}

function neededImages(
  desired: DesiredCentre,
  { machines, others }: Observation,
  ours: readonly OwnImage[],
): ReadonlySet<ImageName> {
  const needed = new Set<ImageName>();
  for (const { slots, staged, detached } of [...Object.values(machines), ...others]) {
    for (const { image } of Object.values(slots)) if (image !== undefined) needed.add(image);
    const pending = Object.values(staged).join("\n");
    for (const { name, about } of ours) {
      // What the hypervisor will attach at the next start is in use; what it merely remembers is not.
      if (pending.includes(name) || (about.role !== "root" && detached.some((volume) => volume.includes(name)))) {
        needed.add(name);
      }
    }
  }
  for (const { name, about } of ours) {
    if (about.intent === undefined) continue;
    needed.add(name);
    const from = parseIntent(about.intent)?.from;
    if (from !== undefined) needed.add(from);
  }
  const wanted = new Map(desired.machines.map(({ path, systemHash }) => [path, systemHash]));
  for (const path of new Set(ours.map(({ about }) => about.machine))) {
    const own = ours.filter(({ about }) => about.machine === path);
    for (const name of keptGenerations(own, needed, desired.keepGenerations)) needed.add(name);
    for (const { name, about } of own) {
      // What the program says now is published, on trial, or known to fail: each saves a deployment its work.
      const isWanted = about.system?.systemHash === wanted.get(path) && about.role !== "root";
      if (isWanted) needed.add(name);
    }
  }
  return needed;
}

/** The newest roots beside those in use; ones that failed do not count, for nobody goes back to them. */
function keptGenerations(own: readonly OwnImage[], needed: ReadonlySet<ImageName>, keep: number): ImageName[] {
  const roots = own.filter(({ name, about }) => about.role === "root" && !needed.has(name));
  const good = roots.filter(({ about }) => about.verdict?.passed !== false);
  return sortedBy(good, ({ about, name }) => `${about.stamp} ${name}`)
    .slice(-keep)
    .map(({ name }) => name);
}

/** Clones before what they are clones of; what has a clone that stays, stays. */
function withoutParents(images: readonly OwnImage[], { images: all }: Observation): readonly OwnImage[] {
  const going = new Set(images.map(({ name }) => name));
  for (let isChanging = true; isChanging; ) {
    isChanging = false;
    for (const { name, parent } of all) {
      if (parent !== undefined && !going.has(name) && going.delete(parent)) isChanging = true;
    }
  }
  const depth = (image: { readonly parent?: ImageName }): number => {
    const parent = all.find(({ name }) => name === image.parent);
    return parent ? 1 + depth(parent) : 0;
  };
  const left = sortedBy(
    images.filter(({ name }) => going.has(name)),
    ({ name }) => name,
  );
  return left.sort((a, b) => depth(b) - depth(a));
}

function whyImage(role: OwnImage["about"]["role"]): string {
  switch (role) {
    case "root":
      return "an older generation";
    case "candidate":
      return "a candidate of a system that the program does not say";
    case "trial":
      return "a copy for a trial that has ended";
    default:
      return "a publication that nothing is made from";
  }
}

function snapshotRemovals(desired: DesiredCentre, observation: Observation, ours: readonly OwnImage[]): Removal[] {
  const pinned = new Set(ours.flatMap(({ about }) => parseIntent(about.intent ?? "")?.snapshot ?? []));
  return ours.flatMap(({ name, about }): Removal[] => {
    const machine = desired.machines.find(({ path }) => path === about.machine);
    const wanted = machine?.volumes.find((volume) => volume.name === about.volume);
    if (about.role !== "volume") return [];
    const all = observation.snapshots[name] ?? [];
    const trials = all.filter((snapshot) => /^trial-\d{12}$/.test(snapshot));
    const swaps = sortedBy(
      all.filter((snapshot) => parseSnapshotName(snapshot) && !pinned.has(snapshot)),
      (snapshot) => parseSnapshotName(snapshot)!.stamp,
    );
    const surplus = wanted ? swaps.slice(0, Math.max(0, swaps.length - wanted.keepSnapshots)) : [];
    return [
      ...trials.map((snapshot) => ({ snapshot, why: "taken for a trial that has ended" })),
      ...surplus.map((snapshot) => ({
        snapshot,
        why: `older than the ${wanted!.keepSnapshots} that its volume keeps`,
      })),
    ].map(({ snapshot, why }) => ({ kind: "snapshot", name: snapshot, volume: name, why }));
  });
}

/** Of systems that no image holds any more; several centres may share a pool, so all images count. */
function documentRemovals(
  desired: DesiredCentre,
  { images }: Observation,
  going: ReadonlySet<ImageName>,
  documents: readonly string[],
): Removal[] {
  const kept = new Set([
    ...images.flatMap(({ name, about }) => (going.has(name) ? [] : (about?.system?.systemHash ?? []))),
    ...desired.machines.map(({ systemHash }) => systemHash),
  ]);
  return documents.flatMap((name): Removal[] => {
    const hash = /^system-([0-9a-f]{64})\.json\.gz$/.exec(name)?.[1];
    return hash === undefined || kept.has(hash)
      ? []
      : [{ kind: "document", name, why: "describes a system that no image holds" }];
  });
}

function leftovers(desired: DesiredCentre, ours: readonly OwnImage[]): string[] {
  return ours.flatMap(({ name, about }) => {
    if (about.role !== "volume") return [];
    const machine = desired.machines.find(({ path }) => path === about.machine);
    if (!machine) return [`volume ${name} of ${about.machine}, which the program does not have`];
    return machine.volumes.some((volume) => volume.name === about.volume)
      ? []
      : [`volume ${name} of ${about.machine}, which does not declare it`];
  });
}
