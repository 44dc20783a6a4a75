import { lutimesSync } from "node:fs";
import { join } from "node:path";
import { lock } from "../../store/lock.ts";
import { makePlaces, type Places } from "./places.ts";

/** Does something while no other process, and nobody else in this one, does what has the same name. */
export type Alone = <T>(
  what: "base" | "images" | "lease" | "journal",
  work: () => T | Promise<T>,
  signal?: AbortSignal,
) => Promise<T>;

export function aloneIn(places: Places): Alone {
  return async (what, work, signal) => {
    makePlaces(places);
    const path = join(places.locks, what);
    const held = await lock(path, signal ? { signal } : {});
    // A holder whom another process cannot look at, in a container, counts as dead when its lock grows old.
    const beat = setInterval(() => touch(path), heartbeatMilliseconds).unref();
    try {
      return await work();
    } finally {
      clearInterval(beat);
      held.release();
    }
  };
}

/** Well below the time after which a lock counts as left behind. */
const heartbeatMilliseconds = 60_000;

function touch(path: string): void {
  try {
    lutimesSync(path, new Date(), new Date());
  } catch {
    // Somebody has taken it from us: what it guards is published by renames.
  }
}
