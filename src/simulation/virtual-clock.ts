import { setImmediate } from "node:timers/promises";
import type { Clock } from "../centre/hands.ts";

/** Time that passes only when everybody waits: hours of a simulated centre take milliseconds. */
export interface VirtualClock extends Clock {
  /** Lets time pass until the promise is settled. @throws Error when nobody waits for anything any more. */
  readonly until: <T>(promise: Promise<T>) => Promise<T>;
  /** Lets this many seconds pass. */
  readonly pass: (seconds: number) => Promise<void>;
  /** Runs at a time, seconds from now. */
  readonly after: (seconds: number, run: () => void) => void;
}

interface Timer {
  readonly at: number;
  /** Timers of the same moment run in the order they were set. */
  readonly number: number;
  readonly run: () => void;
}

/** @param start seconds since 1970 */
export function virtualClock(start: number): VirtualClock {
  let now = start;
  let count = 0;
  const timers: Timer[] = [];
  const set = (seconds: number, run: () => void): Timer => {
    const timer = { at: now + Math.max(0, seconds), number: count++, run };
    const place = timers.findIndex(({ at }) => at > timer.at);
    timers.splice(place < 0 ? timers.length : place, 0, timer);
    return timer;
  };
  const forget = (timer: Timer) => {
    const place = timers.indexOf(timer);
    if (place >= 0) timers.splice(place, 1);
  };
  /** Everything that waits on promises alone has its turn before the next timer. */
  const next = async (): Promise<boolean> => {
    await setImmediate();
    const timer = timers.shift();
    if (!timer) return false;
    now = timer.at;
    timer.run();
    return true;
  };
  const until: VirtualClock["until"] = async (promise) => {
    let isSettled = false;
    const settled = () => {
      isSettled = true;
    };
    promise.then(settled, settled);
    await setImmediate();
    while (!isSettled) {
      const goesOn = await next();
      await setImmediate();
      if (!goesOn && !isSettled) throw new Error("the simulation stands still: nobody waits for any time");
    }
    return promise;
  };
  return {
    now: () => now,
    sleep: (seconds, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        const timer = set(seconds, resolve);
        signal?.addEventListener("abort", () => {
          forget(timer);
          resolve();
        });
      }),
    until,
    pass: (seconds) => until(new Promise<void>((resolve) => void set(seconds, resolve))),
    after: (seconds, run) => void set(seconds, run),
  };
}
