import { randomBytes } from "node:crypto";
import { hostname, userInfo } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { failure } from "../../base/error.ts";
import { aCount, aText, mismatch, type Shape } from "../../base/shape.ts";
import { ownerIsGone, ownerTag } from "../../store/owner.ts";
import { errnos, isRefusal } from "./ceph-failure.ts";
import type { CephContext } from "./context.ts";
import { breakObjectLock, objectLock } from "./object-lock.ts";
import type { ImageSpec, LockPlace } from "./rbd-driver.ts";

/**
 * Works on a base while nobody else does. What a dead publisher holds is taken from him: his lock, and the image's own,
 * so that what he may still have on the way is refused.
 *
 * @throws MesoError `image-in-use` when another does not finish in time.
 */
export async function withBaseLock<T>(
  context: CephContext,
  base: ImageSpec,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  const object = `${base.image}.lock`;
  const cookie = randomBytes(8).toString("hex");
  const place = { pool: base.pool, object, name: "writer" };
  const holder: Holder = { owner: ownerTag(), words: whoWeAre(), since: Math.floor(Date.now() / 1000) };
  const started = performance.now();
  const rbd = await context.rbd();
  for (let pause = 50; !(await rbd.lock(place, cookie, JSON.stringify(holder))); ) {
    const held = await objectLock(context.run, place);
    if (held === undefined) continue;
    const other = parseHolder(held.description);
    if (await isStale(context, base, other)) {
      await breakObjectLock(context.run, place, held);
      await rbd.breakLocks(base).catch(unlessMissing);
      continue;
    }
    if (performance.now() - started > patienceMilliseconds) {
      throw failure("image-in-use", `${other?.words ?? "another publisher"} works on the base of ${context.title}`, {
        hint: "wait for it or end it, then run again",
      });
    }
    await sleep(pause, undefined, { signal });
    pause = Math.min(pause * 2, 500);
  }
  try {
    return await work();
  } finally {
    await giveBack(context, place, cookie);
  }
}

/** A helper that was started anew is not who took the lock, as the OSD sees it; what was taken is ended all the same. */
async function giveBack(context: CephContext, place: LockPlace, cookie: string): Promise<void> {
  const rbd = await context.rbd();
  const isGiven = await rbd.unlock(place, cookie).catch(() => false);
  if (isGiven) return;
  const held = await objectLock(context.run, place);
  if (held?.cookie === cookie) await breakObjectLock(context.run, place, held);
}

const patienceMilliseconds = 30 * 60 * 1000;

interface Holder {
  /** As `ownerTag()`. */
  readonly owner: string;
  readonly words: string;
  /** Seconds since 1970. */
  readonly since: number;
}

const holderShape: Shape = { members: { owner: aText, words: aText, since: aCount } };

function parseHolder(text: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return mismatch(value, holderShape) ? undefined : (value as Holder);
  } catch {
    return undefined;
  }
}

/** A publisher of another host is believed to be gone when he has not got the base open long after he took it. */
async function isStale(context: CephContext, base: ImageSpec, holder: Holder | undefined): Promise<boolean> {
  if (holder === undefined) return true;
  if (!ownerIsGone(holder.owner, Date.now() - holder.since * 1000)) return false;
  const isOfThisHost = holder.owner.split("-").slice(0, 2).join() === ownerTag().split("-").slice(0, 2).join();
  if (isOfThisHost) return true;
  const rbd = await context.rbd();
  const watchers = await rbd.watchers(base).catch(unlessMissing);
  return watchers === undefined || watchers.length === 0;
}

function unlessMissing(error: unknown): undefined {
  if (isRefusal(error, errnos.missing)) return undefined;
  throw error;
}

export function whoWeAre(): string {
  return `${userInfo().username}@${hostname()} process ${process.pid}`;
}
