import { setTimeout as sleep } from "node:timers/promises";
import { ownerIsGone } from "../../store/owner.ts";
import {
  type BaseSnapshot,
  baseSnapshotPattern,
  changeBase,
  newestBase,
  strangeRanges,
  tableObject,
} from "./base-image.ts";
import { withBaseLock } from "./base-lock.ts";
import { baseUses, contentDigits, forgetUses } from "./base-uses.ts";
import { errnos, isRefusal } from "./ceph-failure.ts";
import { type CephContext, foundImage, poolsOf } from "./context.ts";
import { chainLength, longestChain, removeRemains } from "./images.ts";
import { trimJournal } from "./journal.ts";
import { bytesOf, joined, without } from "./ranges.ts";
import type { ImageSpec, RbdDriver } from "./rbd-driver.ts";
import { basePrefix, gonePrefix, newPrefix, ownPrefix } from "./settings.ts";
import { placeRanges, type SegmentPlaces } from "./shared-base.ts";

/** Removes what killed runs left, snapshots of bases that nothing stands on, and what no image uses of a base. */
export async function sweep(context: CephContext): Promise<readonly string[]> {
  const rbd = await context.rbd();
  const swept: string[] = [];
  for (const pool of poolsOf(context.settings)) {
    const names = await rbd.names(pool);
    for (const name of names.filter(isAbandoned)) {
      if (await removeAbandoned(rbd, { pool, image: name })) swept.push(name);
    }
    const ours = names.filter((name) => !name.startsWith(ownPrefix));
    await shortenChains(rbd, pool, ours);
  }
  const { pool } = context.settings;
  const names = await rbd.names(pool);
  for (const image of names.filter((name) => name.startsWith(basePrefix))) {
    swept.push(...(await sweepBase(context, { pool, image }, new Set(names))));
  }
  await trimJournal(context);
  return swept.sort();
}

/** What is going has been given up by its owner already; what is new, when its owner is gone. */
function isAbandoned(name: string): boolean {
  if (name.startsWith(gonePrefix)) return true;
  if (!name.startsWith(newPrefix)) return false;
  const [owner, seconds] = name.slice(newPrefix.length).split(".");
  return ownerIsGone(owner ?? "", Date.now() - Number(seconds) * 1000);
}

/**
 * Whether it is gone. A dead writer who held the lock is shut out at once; one who only had it open is waited for until
 * the cluster has forgotten him. What others stand on stays.
 */
async function removeAbandoned(rbd: RbdDriver, spec: ImageSpec): Promise<boolean> {
  const deadline = performance.now() + watchMilliseconds;
  for (;;) {
    try {
      const [image] = await rbd.images(spec.pool, [spec.image]);
      if (image && (await rbd.children(spec)).length > 0) return false;
      if (image) {
        await rbd.breakLocks(spec);
        await removeRemains(rbd, spec, image);
      } else {
        // Killed before its parent knew of it, a clone may outlive that and cannot be opened any more.
        await rbd.remove(spec);
      }
      if (!(await rbd.names(spec.pool)).includes(spec.image)) return true;
    } catch (error) {
      if (isRefusal(error, errnos.missing)) return false;
      if (!isRefusal(error, errnos.busy, errnos.lockOwnerAlive)) throw error;
    }
    if (performance.now() > deadline) return false;
    await sleep(500);
  }
}

/** Ceph forgets a client after 30 s, unless configured otherwise (osd_client_watch_timeout). */
const watchMilliseconds = 35_000;

/** Copies what an image of ours reads through too many others. */
export async function shortenChains(rbd: RbdDriver, pool: string, names: readonly string[]): Promise<void> {
  for (const image of await rbd.images(pool, names)) {
    const { ours, spec } = foundImage(pool, image);
    if (ours && image.parent && (await chainLength(rbd, spec)) > longestChain) await rbd.flatten(spec);
  }
}

async function sweepBase(context: CephContext, base: ImageSpec, listed: ReadonlySet<string>): Promise<string[]> {
  const rbd = await context.rbd();
  const uses = await baseUses(rbd, base);
  await forgetUses(
    rbd,
    base,
    [...uses.keys()].filter((name) => !listed.has(name)),
  );
  const used = new Set([...uses].flatMap(([name, { contents }]) => (listed.has(name) ? contents : [])));
  return withBaseLock(context, base, new AbortController().signal, async () => {
    const [image] = await rbd.images(base.pool, [base.image]);
    if (!image) return [];
    const current = await newestBase(rbd, base, image.size);
    const newest = current.snapshot && (await trimBase(rbd, current, used));
    const swept: string[] = [];
    for (const snapshot of image.snapshots.filter((name) => name !== newest)) {
      const seconds = Number(baseSnapshotPattern.exec(snapshot)?.[2] ?? Number.NaN);
      // A publisher may just be about to clone one that is not so old.
      if (!(Date.now() / 1000 - seconds > youngestSeconds)) continue;
      if ((await rbd.childrenOf({ ...base, snapshot })).length > 0) continue;
      await rbd.removeSnapshot({ ...base, snapshot });
      await rbd.removeObject(base.pool, tableObject(base, snapshot));
      swept.push(`${base.image}@${snapshot}`);
    }
    return swept;
  });
}

const youngestSeconds = 3600;

/**
 * Takes out of the base what no image uses, when that is much; images that exist keep the snapshot they stand on.
 * Gives the newest snapshot.
 */
async function trimBase(rbd: RbdDriver, current: BaseSnapshot, used: ReadonlySet<string>): Promise<string | undefined> {
  const kept: SegmentPlaces = new Map([...current.places].filter(([content]) => used.has(contentDigits(content))));
  const [all, left] = [placeRanges(current.places), placeRanges(kept)];
  if (bytesOf(all) - bytesOf(left) <= mostUnused * bytesOf(all)) return current.snapshot;
  const zeros = without(joined([...all, ...(await strangeRanges(rbd, current))]), left);
  const trimmed = await changeBase(rbd, current, kept, {
    zeros,
    writes: [],
    read: () => new Uint8Array(0),
    signal: new AbortController().signal,
  });
  return trimmed.snapshot;
}

/** Share of a base that may be of no use. */
const mostUnused = 0.25;
