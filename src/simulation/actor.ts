import { failure } from "../base/error.ts";
import type { World } from "./world.ts";

/** What goes wrong with one call. */
export type Fault =
  /** The caller dies before it asked, or right after the work was done. */
  | "die-before"
  | "die-after"
  /** The work is done, and nobody hears of it. */
  | "lose-answer"
  /** Nothing is done. */
  | "unreachable"
  | "busy"
  /** Done twice. */
  | "twice"
  /** Takes a hundred times as long. */
  | "slow"
  | "full";

/** Somebody who works on the centre: an executor, whose calls are numbered so that each of them can go wrong. */
export interface Actor {
  readonly holder: string;
  /** Calls made so far. */
  readonly calls: () => number;
  readonly isDead: () => boolean;
  /** Ends it as `kill -9` does: nothing that it waits for ever comes, and what was asked for may still be done. */
  readonly kill: () => void;
  readonly call: <T>(call: Call<T>) => Promise<T>;
  /** Waits as a living one does. */
  readonly sleep: (seconds: number, signal?: AbortSignal) => Promise<void>;
}

export interface Call<T> {
  readonly verb: string;
  readonly of: "pool" | "hypervisor";
  readonly seconds: number;
  /** At one moment; throws what the verb throws. */
  readonly effect: () => T;
}

/** @param faultAt what goes wrong with the call of this number, counted from 0 */
export function actor(
  world: World,
  holder: string,
  faultAt: (number: number, verb: string) => Fault | undefined,
): Actor {
  let calls = 0;
  let isDead = false;
  const never = () => new Promise<never>(() => {});
  const call = async <T>({ verb, of, seconds, effect }: Call<T>): Promise<T> => {
    if (isDead) return never();
    const fault = faultAt(calls++, verb);
    if (fault === "die-before") {
      isDead = true;
      return never();
    }
    const unreachable = `${of}-unreachable`;
    if (fault === "unreachable") {
      await world.clock.sleep(5);
      if (isDead) return never();
      throw failure(unreachable, `the simulated ${of} does not answer`);
    }
    if (fault === "busy") throw failure(of === "pool" ? unreachable : "busy-retry", `the simulated ${of} is busy`);
    if (fault === "full") throw failure(of === "pool" ? "pool-full" : "task-failed", `the simulated ${of} is full`);
    await world.clock.sleep(seconds * (fault === "slow" ? 100 : 1));
    // Whoever died while it was asked for has asked all the same.
    const result = effect();
    if (isDead) return never();
    if (fault === "twice") {
      try {
        effect();
      } catch {
        // The second one finds the work done.
      }
    }
    if (fault === "die-after") {
      isDead = true;
      return never();
    }
    if (fault === "lose-answer") {
      throw failure(of === "pool" ? unreachable : "unknown-outcome", `the answer to ${verb} was lost`);
    }
    return result;
  };
  return {
    holder,
    calls: () => calls,
    isDead: () => isDead,
    kill: () => {
      isDead = true;
    },
    call,
    sleep: async (seconds, signal) => {
      await world.clock.sleep(seconds, signal);
      if (isDead) await never();
    },
  };
}
