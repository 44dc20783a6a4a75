import { canonicalJson } from "../base/canonical.ts";
import { failure, type MesoError } from "../base/error.ts";
import { aCount, aText, mismatch } from "../base/shape.ts";
import type { Lease } from "./pool.ts";

/** Whether a pool gives the lease to who asks: it is free, has run out, or is the asker's own. Times in seconds. */
export function isFree(held: Lease | undefined, asking: Lease, now: number): boolean {
  return held === undefined || held.holder === asking.holder || held.expires <= now;
}

/** What is told to who does not get it. */
export function leaseHeld(held: Lease, now: number): MesoError {
  const age = `for ${duration(now - held.since)}`;
  return failure("lease-held", `${held.holder} works on this pool ${age}: ${held.purpose}`, {
    hint: `wait; unless renewed, its right ends in ${duration(held.expires - now)}. If it is dead: meso unlock`,
  });
}

export function leaseText(lease: Lease): string {
  return canonicalJson(lease);
}

/** Undefined when it is no lease: then nobody holds it. */
export function parseLease(text: string): Lease | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const shape = { members: { holder: aText, purpose: aText, since: aCount, expires: aCount } };
    return mismatch(value, shape) ? undefined : (value as Lease);
  } catch {
    return undefined;
  }
}

function duration(seconds: number): string {
  const minutes = Math.floor(Math.max(0, seconds) / 60);
  if (minutes < 1) return `${Math.max(0, Math.round(seconds))} s`;
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h`;
}
