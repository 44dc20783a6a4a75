import { failure } from "../base/error.ts";
import { sortedBy } from "../base/order.ts";
import { aboutText, type ImageAbout, parseAbout } from "../pools/about.ts";
import { checkName } from "../pools/image-name.ts";
import { checkJournalLine, journalLength } from "../pools/journal.ts";
import { isFree, leaseHeld, leaseText, parseLease } from "../pools/lease.ts";
import type { ImageName, Pool } from "../pools/pool.ts";
import type { Actor } from "./actor.ts";
import { openersOf, type SimulatedImage, tell, type World } from "./world.ts";

/** Seconds, as measured on a Ceph cluster: `rbd` costs 60 ms and more a command, and listing asks for every image. */
const seconds = { read: 0.05, change: 0.15, publish: 2 };

/** A pool whose images are names and stories instead of bytes. */
export function simulatedPool(world: World, actor: Actor): Pool {
  const pool = verbs(world, actor);
  const read = <T>(verb: string, effect: () => T) => actor.call({ verb, of: "pool", seconds: seconds.read, effect });
  const change = <T>(verb: string, image: ImageName | undefined, effect: () => T, took = seconds.change) =>
    actor.call({
      verb,
      of: "pool",
      seconds: took,
      effect: () => {
        const result = effect();
        tell(world, { verb, by: actor.holder, ...(image !== undefined && { image }) });
        return result;
      },
    });
  const named = <T>(names: readonly string[], then: () => Promise<T>): Promise<T> => {
    try {
      for (const name of names) checkName(name);
    } catch (error) {
      return Promise.reject(error);
    }
    return then();
  };
  return {
    kind: "directory",
    title: "the simulated pool",
    check: () => read("check", () => []),
    list: () => read("list", pool.list),
    publish: (publications) =>
      named(
        publications.map(({ name }) => name),
        () =>
          change("publish", undefined, () => pool.publish(publications), seconds.publish * (1 + publications.length)),
      ),
    clone: (source, name, about) =>
      named([source.image, name, ...(source.snapshot === undefined ? [] : [source.snapshot])], () =>
        change("clone", name, () => pool.clone(source, name, about)),
      ),
    rename: (from, to) => named([from, to], () => change("rename", to, () => pool.rename(from, to))),
    describe: (name, about) => named([name], () => change("describe", name, () => pool.describe(name, about))),
    adopt: (name, about) => named([name], () => change("adopt", name, () => pool.adopt(name, about))),
    remove: (name) => named([name], () => change("remove", name, () => pool.remove(name))),
    createVolume: (name, size, about) =>
      named([name], () => change("create-volume", name, () => pool.createVolume(name, size, about))),
    snapshot: (name, snapshot) =>
      named([name, snapshot], () => change("snapshot", name, () => pool.snapshot(name, snapshot))),
    snapshots: (name) => named([name], () => read("snapshots", () => [...image(world, name).snapshots.keys()])),
    removeSnapshot: (name, snapshot) =>
      named([name, snapshot], () => change("remove-snapshot", name, () => pool.removeSnapshot(name, snapshot))),
    restoreSnapshot: (name, snapshot) =>
      named([name, snapshot], () => change("restore", name, () => pool.restoreSnapshot(name, snapshot))),
    openers: (name) => named([name], () => read("openers", () => openersOf(world, name))),
    disk: (name) => ({ kind: "file", path: `/simulated/${name}`, format: "raw" }),
    usage: () => read("usage", () => new Map([["", 0], ...[...world.images.keys()].map((name) => [name, 0] as const)])),
    takeLease: (lease) =>
      change("take-lease", undefined, () => {
        const now = world.clock.now();
        if (world.lease && !isFree(world.lease, lease, now)) throw leaseHeld(world.lease, now);
        world.lease = parseLease(leaseText(lease));
      }),
    lease: () => read("lease", () => world.lease),
    releaseLease: (holder) =>
      change("release-lease", undefined, () => {
        if (holder === undefined || world.lease?.holder === holder) world.lease = undefined;
      }),
    journal: () => read("journal", () => [...world.journal]),
    appendJournal: async (line) => {
      checkJournalLine(line);
      await change(
        "journal",
        undefined,
        () => {
          world.journal.push(line);
          if (world.journal.length > journalLength) world.journal.shift();
        },
        0.02,
      );
    },
    putDocument: (name, bytes) =>
      named([name], () => change("document", undefined, () => void world.documents.set(name, bytes))),
    document: (name) => named([name], () => read("document", () => world.documents.get(name))),
    documents: () => read("documents", () => sortedBy(world.documents.keys(), (name) => name)),
    removeDocument: (name) =>
      named([name], () => change("remove-document", undefined, () => void world.documents.delete(name))),
    sweep: () => read("sweep", () => []),
  };
}

/** The verbs themselves, at one moment each. */
function verbs(world: World, { holder }: Actor) {
  const { images } = world;
  const ours = (name: ImageName) => {
    const found = image(world, name);
    if (!found.about) throw failure("foreign-image", `${name} is not ours`);
    return found as SimulatedImage & { about: ImageAbout };
  };
  const mustBeFree = (name: ImageName) => {
    if (images.has(name)) throw failure("image-exists", `${name} is there already`);
  };
  const mustBeClosed = (name: ImageName) => {
    const openers = openersOf(world, name);
    if (openers.length > 0) throw failure("image-in-use", `${name} is open: ${openers.join(", ")}`);
  };
  const childrenOf = (name: ImageName, snapshot?: string) =>
    [...images.values()].filter(
      ({ parent }) => parent?.image === name && (snapshot === undefined || parent.snapshot === snapshot),
    );
  return {
    list: () =>
      sortedBy(images, ([name]) => name).map(([name, { size, about, parent }]) => ({
        name,
        size,
        about,
        ...(parent && { parent: parent.image }),
      })),
    publish: (publications: Parameters<Pool["publish"]>[0]) => {
      let ownBytes = 0;
      const unchanged: ImageName[] = [];
      for (const { name, recipe, about } of publications) {
        const existing = images.get(name);
        if (existing && existing.about?.system?.imageHash === about.system?.imageHash) {
          unchanged.push(name);
          continue;
        }
        mustBeFree(name);
        const bytes = 4 << 20;
        if (world.freeBytes < bytes) throw failure("pool-full", "the simulated pool is full");
        world.freeBytes -= bytes;
        ownBytes += bytes;
        const content = [about.system?.systemHash ?? "nothing"];
        images.set(name, { size: recipe.size, about: written(about), content, snapshots: new Map() });
      }
      return { sharedBytes: 0, ownBytes, unchanged };
    },
    clone: (source: { image: ImageName; snapshot?: string }, name: ImageName, about: ImageAbout) => {
      const { size, content, snapshots } = image(world, source.image);
      const then = source.snapshot === undefined ? content : snapshots.get(source.snapshot);
      mustBeFree(name);
      if (!then) throw failure("no-snapshot", `${source.image} has no snapshot ${source.snapshot}`);
      images.set(name, { size, about: written(about), parent: source, content: then, snapshots: new Map() });
    },
    rename: (from: ImageName, to: ImageName) => {
      const found = ours(from);
      mustBeFree(to);
      if (childrenOf(from).length > 0) throw failure("image-has-children", `${from} has clones`);
      mustBeClosed(from);
      images.delete(from);
      images.set(to, found);
    },
    describe: (name: ImageName, about: ImageAbout) => void images.set(name, { ...ours(name), about: written(about) }),
    adopt: (name: ImageName, about: ImageAbout) =>
      void images.set(name, { ...image(world, name), about: written(about) }),
    remove: (name: ImageName) => {
      if (!images.has(name)) return;
      ours(name);
      if (childrenOf(name).length > 0) throw failure("image-has-children", `${name} has clones`);
      mustBeClosed(name);
      images.delete(name);
    },
    createVolume: (name: ImageName, size: number, about: ImageAbout) => {
      const existing = images.get(name);
      if (existing?.size === size && existing.about) return;
      mustBeFree(name);
      images.set(name, { size, about: written(about), content: [`made by ${holder}`], snapshots: new Map() });
    },
    snapshot: (name: ImageName, snapshot: string) => {
      const found = ours(name);
      if (found.snapshots.has(snapshot)) return;
      if (!world.snapshotsLive) mustBeClosed(name);
      images.set(name, { ...found, snapshots: new Map(found.snapshots).set(snapshot, found.content) });
    },
    removeSnapshot: (name: ImageName, snapshot: string) => {
      const found = ours(name);
      if (childrenOf(name, snapshot).length > 0) throw failure("image-has-children", `${name} has clones`);
      const snapshots = new Map(found.snapshots);
      snapshots.delete(snapshot);
      images.set(name, { ...found, snapshots });
    },
    restoreSnapshot: (name: ImageName, snapshot: string) => {
      const found = ours(name);
      const content = found.snapshots.get(snapshot);
      if (!content) throw failure("no-snapshot", `${name} has no snapshot ${snapshot}`);
      mustBeClosed(name);
      images.set(name, { ...found, content });
    },
  };
}

/** As a real pool would give it back: what cannot be written down is a mistake. */
function written(about: ImageAbout): ImageAbout | undefined {
  return parseAbout(aboutText(about));
}

function image(world: World, name: ImageName): SimulatedImage {
  const found = world.images.get(name);
  if (!found) throw failure("no-image", `${name} is not in the simulated pool`);
  return found;
}
