import { randomBytes } from "node:crypto";
import { failure } from "../../base/error.ts";
import { aText, mismatch, type Shape } from "../../base/shape.ts";
import type { Lease } from "../pool.ts";
import type { CephContext } from "./context.ts";
import { breakObjectLock, type ObjectLock, objectLock } from "./object-lock.ts";
import type { LockPlace } from "./rbd-driver.ts";
import { ownPrefix } from "./settings.ts";

/**
 * The lease is a lock that the OSD keeps, so that of many who want it one gets it. Who has it, and until when, stands
 * in the lock; a later end, when it is renewed, in an entry beside it under the lock's cookie.
 *
 * @throws MesoError `lease-held`.
 */
export async function takeLease(context: CephContext, lease: Lease): Promise<void> {
  const place = leasePlace(context);
  for (let attempt = 0; attempt < attempts; attempt++) {
    const cookie = randomBytes(8).toString("hex");
    if (await (await context.rbd()).lock(place, cookie, JSON.stringify(lease))) {
      await forgetRenewals(context, cookie);
      return;
    }
    const held = await heldLease(context);
    if (held === undefined) continue;
    const isOver = held.lease === undefined || held.lease.expires <= now();
    if (held.lease?.holder === lease.holder && !isOver) {
      await (await context.rbd()).setEntry(place.pool, place.object, held.lock.cookie, JSON.stringify(lease));
      // Somebody may have taken it away meanwhile.
      if ((await objectLock(context.run, place))?.cookie === held.lock.cookie) return;
    } else if (isOver) await breakObjectLock(context.run, place, held.lock);
    else throw leaseHeld(context, held.lease!);
  }
  throw failure("lease-held", `others take the lease of ${context.title} at the same time`, { hint: "run again" });
}

/** How often to try while others take it and give it back. */
const attempts = 20;

export async function currentLease(context: CephContext): Promise<Lease | undefined> {
  return (await heldLease(context))?.lease;
}

export async function releaseLease(context: CephContext, holder: string | undefined): Promise<void> {
  const held = await heldLease(context);
  if (!held || (holder !== undefined && held.lease !== undefined && held.lease.holder !== holder)) return;
  await breakObjectLock(context.run, leasePlace(context), held.lock);
}

/** Seconds since 1970. */
function now(): number {
  return Date.now() / 1000;
}

interface HeldLease {
  readonly lock: ObjectLock;
  /** Undefined when what stands in the lock is nothing of ours. */
  readonly lease: Lease | undefined;
}

async function heldLease(context: CephContext): Promise<HeldLease | undefined> {
  const place = leasePlace(context);
  const lock = await objectLock(context.run, place);
  if (lock === undefined) return undefined;
  const renewals = await (await context.rbd()).entries(place.pool, place.object);
  return { lock, lease: parseLease(renewals.get(lock.cookie)?.toString() ?? lock.description) };
}

async function forgetRenewals(context: CephContext, except: string): Promise<void> {
  const { pool, object } = leasePlace(context);
  const rbd = await context.rbd();
  const old = [...(await rbd.entries(pool, object)).keys()].filter((cookie) => cookie !== except);
  if (old.length > 0) await rbd.removeEntries(pool, object, old);
}

function leasePlace({ settings }: CephContext): LockPlace {
  return { pool: settings.pool, object: `${ownPrefix}lease`, name: "lease" };
}

const seconds = { expected: "seconds since 1970", holds: Number.isFinite };
const leaseShape: Shape = { members: { holder: aText, purpose: aText, since: seconds, expires: seconds } };

function parseLease(text: string): Lease | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return mismatch(value, leaseShape) ? undefined : (value as Lease);
  } catch {
    return undefined;
  }
}

function leaseHeld({ title }: CephContext, { holder, purpose, since, expires }: Lease) {
  const age = Math.max(0, Math.round(now() - since));
  return failure("lease-held", `${holder} works on ${title} since ${age} s: ${purpose}`, {
    hint: `wait, or \`meso unlock\`; it ends by itself in ${Math.max(0, Math.round(expires - now()))} s`,
  });
}
