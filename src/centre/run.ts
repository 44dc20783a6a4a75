import { failure, MesoError } from "../base/error.ts";
import type { DesiredDrain } from "./desired.ts";
import type { Clock, Hands } from "./hands.ts";
import type { ImageBook } from "./image-book.ts";
import type { Journal } from "./journal.ts";
import type { LeaseKeeper } from "./lease-keeper.ts";
import type { MachinePlan, Plan } from "./plan.ts";

/** One execution of a plan. */
export interface Run {
  readonly plan: Plan;
  readonly hands: Hands;
  readonly lease: LeaseKeeper;
  readonly journal: Journal;
  readonly images: ImageBook;
}

/** What is known of a machine while its steps are done. */
export interface MachineRun {
  readonly plan: MachinePlan;
  /** Kinds of steps that were begun. */
  readonly begun: Set<string>;
  /** Drain hooks that were run, or may have been. */
  readonly drained: Set<DesiredDrain>;
  /** Of these, those whose agent fell silent: it may never have heard of them. */
  readonly unsure: Set<DesiredDrain>;
  /** What it was changed to does not work. */
  hasFailed: boolean;
  /** Checks that passed last. */
  checks: number;
  readonly stepSeconds: Record<string, number>;
  /** When it went down; absent when it is up. Seconds since 1970. */
  downAt?: number;
  /** In all, as seen from here. */
  outageSeconds?: number;
  /** The step before, which the journal has not been told to be done. */
  done?: { readonly done: string; readonly seconds: number };
}

/** For the next line of the journal. */
export function takeDone(one: MachineRun): { readonly done?: string; readonly seconds?: number } {
  const { done } = one;
  delete one.done;
  return done ?? {};
}

export function machineRun(plan: MachinePlan): MachineRun {
  return {
    plan,
    begun: new Set(),
    drained: new Set(),
    unsure: new Set(),
    hasFailed: false,
    checks: 0,
    stepSeconds: {},
  };
}

/** Answers that say nothing about the thing asked for: asked again, for every step looks first. */
const transient = new Set([
  "unknown-outcome",
  "hypervisor-unreachable",
  "pool-unreachable",
  "busy-retry",
  "machine-locked",
]);
const pauses = [1, 3, 10, 20];

/**
 * Does something that may be done again, as often as its answer is lost or the world is busy.
 * @throws MesoError the last one, or at once what waiting does not mend.
 */
export async function persistently<T>({ hands, lease, images }: Run, attempt: () => Promise<T>): Promise<T> {
  for (const pause of [...pauses, undefined]) {
    lease.guard();
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof MesoError) || !transient.has(error.code) || pause === undefined) throw error;
      await hands.clock.sleep(pause);
      // Who knows what has been done: what the pool says now counts.
      await images.refresh().catch(() => {});
    }
  }
  throw failure("unreachable", "every attempt ends above");
}

/** Times that are written down have no fractions. */
export function wholeSeconds(clock: Clock): number {
  return Math.floor(clock.now());
}

/** An error in words, for outcomes. One machine's surprise must not stop the others, nor its own way back. */
export function reasonOf(error: unknown): string {
  if (error instanceof MesoError) return error.problems.map(({ what }) => what).join("; ");
  return `unexpected: ${error instanceof Error ? error.message : String(error)}`;
}
