import { executeImages, takeBack } from "./execute-machine.ts";
import { executeWaves, isLeftDown } from "./execute-waves.ts";
import type { Hands, PublishRequest } from "./hands.ts";
import { imageBook } from "./image-book.ts";
import { type Journal, openJournal } from "./journal.ts";
import { type LeaseKeeper, takeLease } from "./lease-keeper.ts";
import { basisDifferences, basisOf, observe } from "./observe.ts";
import { type DeployOutcome, type MachineOutcome, overallResult } from "./outcome.ts";
import { changingMachines, type Plan } from "./plan.ts";
import { takesDown } from "./plan-order.ts";
import { type MachineRun, machineRun, persistently, type Run, reasonOf, takeDone } from "./run.ts";

/**
 * Does exactly what a plan says, and nothing when the world is not what the plan rests on. May be killed at any moment:
 * the next plan goes on from what it then sees. Failures of machines are outcomes; only bugs are thrown.
 */
export async function executePlan(plan: Plan, hands: Hands): Promise<DeployOutcome> {
  const began = hands.clock.now();
  const stopped = plan.machines.filter(({ action }) => action === "foreign" || action === "blocked");
  const ended = (reasons: readonly string[], machines: readonly MachineOutcome[], bytes = 0): DeployOutcome => ({
    result: overallResult(machines, stopped.length),
    reasons,
    machines,
    publishedBytes: bytes,
    seconds: hands.clock.now() - began,
  });
  const refused = (reasons: readonly string[]): DeployOutcome => ({ ...ended(reasons, []), result: "refused" });
  const told = stopped.map(({ path, reasons }) => `${path}: ${reasons.join("; ")}`);
  if (changingMachines(plan).length === 0) return ended(told, []);

  let lease: LeaseKeeper;
  try {
    lease = await takeLease(hands, `${plan.kind} of plan ${plan.hash.slice(0, 12)}`);
  } catch (error) {
    return refused([reasonOf(error)]);
  }
  const journal = openJournal(hands, plan);
  try {
    const start = await beginRun(plan, hands, lease, journal).catch((error: unknown) => [reasonOf(error)]);
    if (Array.isArray(start)) return refused(start);
    const { run, bytes, outcomes } = await executeRun(start as Run);
    const machines = changingMachines(plan).map(({ path }) => outcomes.get(path)!);
    const all = ended(told, machines, bytes);
    await run.journal.write({ result: all.result });
    return all;
  } finally {
    await lease.release();
  }
}

/** The run, or in words what has moved since the plan was made. */
async function beginRun(
  plan: Plan,
  hands: Hands,
  lease: LeaseKeeper,
  journal: Journal,
): Promise<Run | readonly string[]> {
  const centre = {
    name: plan.centre,
    limits: plan.limits,
    keepGenerations: 1,
    machines: plan.machines.map(({ machine }) => machine),
  };
  const observation = await observe(hands.pool, hands.hypervisor, centre);
  const moved = changingMachines(plan).flatMap(({ path, machine, basis }) =>
    basisDifferences(basis, basisOf(observation, centre, machine)).map((text) => `${path} has moved: ${text}`),
  );
  if (moved.length > 0) return moved;
  return { plan, hands, lease, journal, images: imageBook(hands.pool, observation.images, lease.guard) };
}

async function executeRun(run: Run) {
  const { plan, hands } = run;
  const outcomes = new Map<string, MachineOutcome>();
  const ready = new Map(changingMachines(plan).map((one) => [one.path, machineRun(one)]));
  const lying: MachineRun[] = [];
  const fail = (outcome: MachineOutcome) => {
    const one = ready.get(outcome.path)!;
    ready.delete(outcome.path);
    outcomes.set(outcome.path, outcome);
    if (isLeftDown(run, one.plan)) lying.push(one);
    else tell(one, outcome);
  };
  const tell = (one: MachineRun, outcome: MachineOutcome) => {
    hands.report({ kind: "machine", outcome });
    void run.journal.write({ machine: outcome.path, ...takeDone(one), result: outcome.result });
  };
  const bytes = await publish(run, ready, fail);
  await prepareImages(run, ready, fail);
  for (const [path, one] of ready) {
    if (takesDown(one.plan)) continue;
    ready.delete(path);
    const { stepSeconds } = one;
    const outcome: MachineOutcome = { path, result: "done", reasons: [], stepSeconds };
    outcomes.set(path, outcome);
    tell(one, outcome);
  }
  // An earlier deployment was killed, and what was to come instead did not: up again with what it ran before.
  for (const one of lying) {
    const outcome = await takeBack(run, one, outcomes.get(one.plan.path)!.reasons.join("; "));
    outcomes.set(one.plan.path, outcome);
    tell(one, outcome);
  }
  await executeWaves(run, ready, outcomes);
  return { run, bytes, outcomes };
}

/** All at once, so that what images share is written once. What did not get there is told machine by machine. */
async function publish(
  run: Run,
  ready: ReadonlyMap<string, MachineRun>,
  fail: (outcome: MachineOutcome) => void,
): Promise<number> {
  const { hands, journal, images } = run;
  const requests = [...ready.values()].flatMap(({ plan: { machine, steps } }): PublishRequest[] =>
    steps.flatMap((act) =>
      act.kind === "publish" ? [{ machine, image: act.image, stamp: act.image.slice(-12) }] : [],
    ),
  );
  if (requests.length === 0) return 0;
  hands.report({ kind: "stage", text: `publish ${requests.length} images` });
  await journal.write({ next: `publish ${requests.length} images` });
  const began = hands.clock.now();
  let trouble: string | undefined;
  let bytes = 0;
  try {
    const { sharedBytes, ownBytes } = await persistently(run, () => hands.publish(requests));
    bytes = sharedBytes + ownBytes;
  } catch (error) {
    trouble = reasonOf(error);
  }
  const seconds = hands.clock.now() - began;
  await journal.write({
    done: "publish",
    seconds: Math.round(seconds * 1000) / 1000,
    ...(trouble !== undefined && { failed: "publish" }),
  });
  try {
    await persistently(run, () => images.refresh());
  } catch (error) {
    trouble ??= reasonOf(error);
  }
  for (const { machine, image } of requests) {
    const about = images.get(image)?.about;
    if (about?.role === "published" && about.system?.systemHash === machine.systemHash) continue;
    const why = trouble ?? (about ? `${image} holds another system` : `${image} is not in the pool`);
    fail({ path: machine.path, result: "failed", reasons: [`publish: ${why}`], stepSeconds: {} });
  }
  return bytes;
}

/** Candidates of many machines side by side. */
async function prepareImages(
  run: Run,
  ready: ReadonlyMap<string, MachineRun>,
  fail: (outcome: MachineOutcome) => void,
): Promise<void> {
  const waiting = [...ready.values()];
  const worker = async () => {
    for (let one = waiting.shift(); one; one = waiting.shift()) {
      if (run.hands.signal.aborted) {
        fail({ path: one.plan.path, result: "held", reasons: ["held: interrupted"], stepSeconds: {} });
        continue;
      }
      const outcome = await executeImages(run, one);
      if (outcome) fail(outcome);
    }
  };
  await Promise.all(Array.from({ length: run.plan.limits.parallel }, worker));
}
