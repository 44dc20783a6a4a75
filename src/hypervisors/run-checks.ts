import { setTimeout as sleep } from "node:timers/promises";
import { MesoError } from "../base/error.ts";
import type { ManifestCheck } from "../system/manifest.ts";
import { type Observation, observeCheck, observeSystem, observeUnits } from "./check-observations.ts";
import type { GuestAgent } from "./guest-agent.ts";

export interface CheckResult {
  /** `ssh.service is active` */
  readonly name: string;
  /** Whose check it is; `system` for what every machine must pass. */
  readonly service: string;
  readonly passed: boolean;
  /** Why not, in words: `it is failed (exit-code); it said: …`. */
  readonly reason?: string;
}

export interface CheckReport {
  readonly passed: boolean;
  readonly results: readonly CheckResult[];
  /** Failed checks, one line each: `openssh: ssh.service is active: …`. */
  readonly failed: readonly string[];
  /** Until the outcome was known. */
  readonly seconds: number;
}

export interface RunChecksOptions {
  /** Until everything must have passed, counted from now; the machine may still be starting. */
  readonly deadlineSeconds: number;
  /** How many times slower than hardware the machine is: stretches the deadline. Default: what the agent says, or 1. */
  readonly timeScale?: number;
  readonly signal?: AbortSignal;
}

/**
 * Looks from inside whether a machine works: it has started, no unit has failed, and what its services declare. Tried
 * again until all is well, until something has failed for good (a failed unit does not heal by waiting), or until the
 * deadline. What fails is data, never an error.
 */
export async function runChecks(
  agent: GuestAgent,
  checks: readonly ManifestCheck[],
  { deadlineSeconds, timeScale = agent.timeScale ?? 1, signal }: RunChecksOptions,
): Promise<CheckReport> {
  const started = performance.now();
  const end = started + deadlineSeconds * timeScale * 1000;
  /** In the agent's own seconds, which it stretches. */
  const left = () => Math.max(0, (end - performance.now()) / 1000 / timeScale);
  let results: readonly CheckResult[] = [];
  let isFinal = false;
  for (let pause = firstPause; ; pause = Math.min(pause * 1.5, longestPause)) {
    signal?.throwIfAborted();
    const round = await runRound(agent, checks, left());
    results = round.results;
    if (results.every(({ passed }) => passed)) break;
    // Seen twice: what fails while systemd starts it again is not failed for good.
    if (round.isFinal && isFinal) break;
    isFinal = round.isFinal;
    const milliseconds = Math.min(pause * timeScale, end - performance.now());
    if (milliseconds <= 0) break;
    await sleep(milliseconds, undefined, signal && { signal });
  }
  const failed = results.filter(({ passed }) => !passed);
  return {
    passed: failed.length === 0,
    results,
    failed: failed.map(({ service, name, reason }) => `${service}: ${name}: ${reason}`),
    seconds: (performance.now() - started) / 1000,
  };
}

/** Milliseconds between rounds, on hardware. */
const firstPause = 250;
const longestPause = 2000;

/** Seconds: a check's own command may take that long, and the machine that long to answer at all. */
const patience = 30;
/** Seconds: the last round before the deadline must not fail for want of time to ask. */
const leastPatience = 1;

interface Round {
  readonly results: readonly CheckResult[];
  /** The machine has started, and something is wrong that waiting does not mend. */
  readonly isFinal: boolean;
}

async function runRound(agent: GuestAgent, checks: readonly ManifestCheck[], seconds: number): Promise<Round> {
  const general = { name: "the machine has started, and nothing failed", service: "system" };
  const silent = await tryTo(() => agent.ping(Math.max(leastPatience, seconds)));
  if (silent) {
    const unseen = { passed: false, reason: "could not be looked at" };
    const results = checks.map(({ name, service }) => ({ name, service, ...unseen }));
    return { results: [{ ...general, passed: false, reason: silent }, ...results], isFinal: false };
  }
  const deadline = Math.max(leastPatience, Math.min(patience, seconds));
  const system = await observed(() => observeSystem(agent, deadline));
  const named = new Set(checks.flatMap((check) => (check.kind === "unit-active" ? [check.unit] : [])));
  const units = await observedUnits(agent, [...named], deadline);
  const outcomes: { readonly check: ManifestCheck; readonly seen: Observation }[] = [];
  for (const check of checks) {
    const seen =
      check.kind === "unit-active"
        ? (units.get(check.unit) ?? wrong("nothing is known of it"))
        : await observed(() => observeCheck(agent, check, deadline));
    outcomes.push({ check, seen });
  }
  const result = ({ name, service }: { name: string; service: string }, { reason }: Observation): CheckResult => ({
    ...{ name, service, passed: reason === undefined },
    ...(reason !== undefined && { reason }),
  });
  const all = [system, ...outcomes.map(({ seen }) => seen)];
  return {
    results: [result(general, system), ...outcomes.map(({ check, seen }) => result(check, seen))],
    isFinal: !system.isStarting && all.some(({ isFinal }) => isFinal),
  };
}

async function observedUnits(agent: GuestAgent, units: readonly string[], deadline: number) {
  if (units.length === 0) return new Map<string, Observation>();
  let seen: ReadonlyMap<string, Observation> = new Map();
  const problem = await tryTo(async () => {
    seen = await observeUnits(agent, units, deadline);
  });
  return problem ? new Map(units.map((unit) => [unit, wrong(problem)])) : seen;
}

async function observed(look: () => Promise<Observation>): Promise<Observation> {
  let seen: Observation = {};
  const problem = await tryTo(async () => {
    seen = await look();
  });
  return problem ? wrong(problem) : seen;
}

const wrong = (reason: string): Observation => ({ reason });

/** What a MesoError says, in one line; the machine may be starting anew in this moment. */
async function tryTo(body: () => Promise<void>): Promise<string | undefined> {
  try {
    await body();
    return undefined;
  } catch (error) {
    if (error instanceof MesoError) return error.problems[0]?.what ?? error.message;
    throw error;
  }
}
