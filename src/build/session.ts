import { hearSignals } from "../base/hear-signals.ts";
import type { Report } from "../base/progress.ts";
import type { Store } from "../store/store.ts";

/** What every stage of a build has at hand. */
export interface BuildSession {
  readonly store: Store;
  /** The lock that pins the channel: absolute path; the file may not be there yet. */
  readonly lockFile: string;
  readonly report: Report;
  /** Aborted by Ctrl-C: a stage stops and leaves nothing half-written. */
  readonly signal: AbortSignal;
  /** How long each stage took, in seconds, filled in as stages end. */
  readonly stages: Map<string, number>;
}

/**
 * Runs a stage, remembers how long it took and reports its end with the text that `describe` gives.
 * @throws the signal's reason, when it was aborted meanwhile.
 */
export async function stage<T>(
  session: BuildSession,
  name: string,
  run: () => T | Promise<T>,
  describe?: (result: T) => string | undefined,
): Promise<T> {
  const started = performance.now();
  const others = total(session.stages);
  const result = await run();
  // Stages within this one have told their own time.
  const within = total(session.stages) - others;
  const seconds = Math.max(0, (performance.now() - started) / 1000 - within);
  session.stages.set(name, (session.stages.get(name) ?? 0) + seconds);
  const text = describe?.(result);
  if (text !== undefined) session.report({ stage: name, text, seconds });
  // Much of a build is synchronous: a Ctrl-C is only heard once the event loop turns.
  await hearSignals();
  session.signal.throwIfAborted();
  return result;
}

function total(stages: ReadonlyMap<string, number>): number {
  return [...stages.values()].reduce((sum, seconds) => sum + seconds, 0);
}
