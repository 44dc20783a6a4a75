import { setImmediate } from "node:timers/promises";

/**
 * Lets the handlers of signals run that arrived during synchronous work. Twice, because what the event loop does
 * right after the phase we may be in comes before it looks for signals again.
 */
export async function hearSignals(): Promise<void> {
  await setImmediate();
  await setImmediate();
}
