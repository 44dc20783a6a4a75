import { executeMachine, takeBack } from "./execute-machine.ts";
import { basisDifferences } from "./observe.ts";
import type { MachineOutcome } from "./outcome.ts";
import type { MachinePlan } from "./plan.ts";
import { isDown } from "./plan-order.ts";
import { type MachineRun, machineRun, persistently, type Run, reasonOf, takeDone } from "./run.ts";

/** Machines of the first wave are canaries: what fails there is tried nowhere else. */
const canaryWave = 0;

const works: ReadonlySet<string | undefined> = new Set(["done", "unfinished"]);

interface Progress {
  readonly outcomes: Map<string, MachineOutcome>;
  /** Machines that are being changed. */
  readonly running: Map<string, { readonly plan: MachinePlan; readonly ended: Promise<string> }>;
  /** What each waiting machine was last said to wait for. */
  readonly told: Map<string, string>;
}

/**
 * Wave by wave, as many at once as limits and groups allow. A machine that fails stops its peers, and everything after
 * it when it is a canary; nobody else.
 * @param ready machines whose images are prepared
 * @param outcomes of machines that failed before: they count as failed members of their waves
 */
export async function executeWaves(
  run: Run,
  ready: ReadonlyMap<string, MachineRun>,
  outcomes: Map<string, MachineOutcome>,
): Promise<void> {
  const progress: Progress = { outcomes, running: new Map(), told: new Map() };
  let stop: string | undefined;
  for (const { wave, machines } of run.plan.waves) {
    const members = machines.flatMap((path) => ready.get(path) ?? []);
    for (const one of members) if (stop !== undefined && !isRecovery(one.plan)) await hold(run, progress, one, stop);
    await executeWave(
      run,
      members.filter(({ plan: { path } }) => !outcomes.has(path)),
      progress,
    );
    const failed = machines.filter((path) => !works.has(outcomes.get(path)?.result));
    if (failed.length === 0) continue;
    if (run.plan.takeBack === "wave") await takeBackWave(run, members, failed, progress);
    if (wave === canaryWave) stop ??= `${failed.join(", ")} of the canary wave did not get there`;
    if (run.plan.takeBack === "wave") stop ??= `wave ${wave} was taken back`;
  }
}

async function executeWave(run: Run, members: readonly MachineRun[], progress: Progress): Promise<void> {
  const waiting = [...members];
  while (waiting.length > 0 || progress.running.size > 0) {
    const reasons = new Map<MachineRun, string>();
    for (const one of [...waiting]) {
      const verdict = await mayBegin(run, one.plan, progress);
      if (verdict === "yes") {
        waiting.splice(waiting.indexOf(one), 1);
        begin(run, one, progress, () => executeMachine(run, one));
      } else if ("never" in verdict) {
        waiting.splice(waiting.indexOf(one), 1);
        if (verdict.isMoved) leave(run, progress, one.plan, verdict.never);
        else await hold(run, progress, one, verdict.never);
      } else {
        reasons.set(one, verdict.waits);
        tell(run, progress, one.plan.path, verdict.waits);
      }
    }
    if (progress.running.size > 0) {
      await Promise.race([...progress.running.values()].map(({ ended }) => ended));
      continue;
    }
    // Nobody is left whose end could change anything.
    for (const one of waiting.splice(0)) await hold(run, progress, one, reasons.get(one) ?? "nothing");
  }
}

type MayBegin =
  | "yes"
  | { readonly waits: string }
  /** `isMoved`: it is not what the plan says, or not ours to touch any more. */
  | { readonly never: string; readonly isMoved?: boolean };

async function mayBegin(run: Run, plan: MachinePlan, progress: Progress): Promise<MayBegin> {
  const { hands } = run;
  if (hands.signal.aborted) return { never: "the deployment was interrupted" };
  try {
    run.lease.guard();
  } catch (error) {
    return { never: reasonOf(error), isMoved: true };
  }
  const failedPeer = isRecovery(plan) ? undefined : failedPeerOf(run, plan, progress);
  if (failedPeer !== undefined) return { never: `its peer ${failedPeer} did not get there` };
  const busy = limitReached(run, plan, progress) ?? drainConflict(plan, progress);
  if (busy !== undefined) return { waits: busy };
  try {
    const moved = await whatMoved(run, plan);
    if (moved.length > 0) {
      return { never: `it has changed since the plan was made: ${moved.join("; ")}`, isMoved: true };
    }
    const group = isDown(plan) ? undefined : await groupReached(run, plan, progress);
    return group === undefined ? "yes" : { waits: group };
  } catch (error) {
    return { never: reasonOf(error) };
  }
}

function failedPeerOf({ plan: { limits } }: Run, plan: MachinePlan, { outcomes }: Progress): string | undefined {
  const peers = plan.machine.group === undefined ? [] : (limits.groups[plan.machine.group]?.members ?? []);
  return peers.find(({ path }) => {
    const result = outcomes.get(path)?.result;
    return path !== plan.path && (result === "broken" || result === "rolled-back");
  })?.path;
}

function limitReached({ plan: { limits } }: Run, plan: MachinePlan, { running }: Progress): string | undefined {
  if (running.size >= limits.parallel) return `for one of ${[...running.keys()].join(", ")}`;
  const node = nodeOf(plan);
  const there = [...running.values()].filter((one) => nodeOf(one.plan) === node).map((one) => one.plan.path);
  return there.length >= limits.parallelPerNode ? `for one of ${there.join(", ")} on the same node` : undefined;
}

/** A machine is not taken down while another is drained through it, nor drained through one that is down. */
function drainConflict(plan: MachinePlan, { running }: Progress): string | undefined {
  const other = [...running.values()].find(
    (one) =>
      one.plan.machine.drain.some(({ on }) => on === plan.path) ||
      plan.machine.drain.some(({ on }) => on === one.plan.path),
  );
  return other && `for ${other.plan.path}: one is drained through the other`;
}

/** Counts whoever is down for whatever reason, as the hypervisor says at this moment. */
async function groupReached(run: Run, plan: MachinePlan, { running }: Progress): Promise<string | undefined> {
  const { limits } = run.plan;
  const group = plan.machine.group === undefined ? undefined : limits.groups[plan.machine.group];
  if (!group) return undefined;
  const others = group.members.filter(({ path }) => path !== plan.path);
  const down: string[] = [];
  for (const { path, id } of others) {
    const isOurs = running.has(path) || hasOpenSwap(run, path);
    const state = isOurs ? undefined : await persistently(run, () => run.hands.hypervisor.inspect(id));
    // A machine that does not exist yet is missed by nobody.
    if (isOurs || (state && state.power !== "on")) down.push(path);
  }
  return down.length >= group.mayBeDown
    ? `for ${down.join(", ")}: of ${plan.machine.group}, ${group.mayBeDown} may be down`
    : undefined;
}

/** Brings back what a machine ran before, and nothing new: no failure elsewhere is a reason to leave it lying. */
function isRecovery({ action, wayBack }: MachinePlan): boolean {
  return action === "take-back" || action === "start" || (action === "finish" && wayBack.length === 0);
}

/** Taken down by a deployment that was killed. */
export function isLeftDown(run: Run, plan: MachinePlan): boolean {
  return isDown(plan) && hasOpenSwap(run, plan.path) && plan.wayBack.length > 0;
}

/** Begun by whomever, and not known to work. */
function hasOpenSwap({ images, plan: { centre } }: Run, path: string): boolean {
  return [...images.all()].some(
    ({ about }) =>
      about?.centre === centre &&
      about.machine === path &&
      about.intent !== undefined &&
      !about.intent.includes("isStaged"),
  );
}

/** What was seen when the plan was made, as far as others could have changed it since. */
async function whatMoved(run: Run, plan: MachinePlan): Promise<readonly string[]> {
  const { hypervisor } = run.hands;
  const state = await persistently(run, () => hypervisor.inspect(plan.machine.id));
  const { power, configuration, root, machine } = plan.basis;
  const then = { power: power ?? "", configuration: configuration ?? "", root: root ?? "", machine: machine ?? "" };
  const now = state
    ? {
        power: state.power as string,
        configuration: state.version,
        root: state.slots.get(plan.machine.rootSlot)?.volume ?? "none",
        machine: "",
      }
    : { power: "", configuration: "", root: "", machine: "absent" };
  return basisDifferences(then, now);
}

/** Only what reached its goal in this wave: what failed is back already, or cannot be. */
async function takeBackWave(
  run: Run,
  members: readonly MachineRun[],
  failed: readonly string[],
  progress: Progress,
): Promise<void> {
  const done = members.filter(({ plan }) => progress.outcomes.get(plan.path)?.result === "done");
  const reason = `its wave is taken back: ${failed.join(", ")} did not get there`;
  for (const one of done.toReversed()) {
    if (one.plan.wayBack.length === 0) continue;
    const group = await groupReached(run, one.plan, progress).catch((error: unknown) => reasonOf(error));
    if (group !== undefined) {
      run.hands.report({ kind: "trouble", path: one.plan.path, text: `not taken back, it waits ${group}` });
      continue;
    }
    begin(run, one, progress, () => takeBack(run, one, reason));
    await progress.running.get(one.plan.path)?.ended;
  }
}

function begin(run: Run, one: MachineRun, progress: Progress, work: () => Promise<MachineOutcome>): void {
  const { path } = one.plan;
  const ended = work().then((outcome) => {
    end(run, progress, outcome, one);
    return path;
  });
  progress.running.set(path, { plan: one.plan, ended });
}

function end(run: Run, { outcomes, running }: Progress, outcome: MachineOutcome, one?: MachineRun): void {
  running.delete(outcome.path);
  outcomes.set(outcome.path, outcome);
  run.hands.report({ kind: "machine", outcome });
  void run.journal.write({ machine: outcome.path, ...(one && takeDone(one)), result: outcome.result });
}

/** Not begun. What an earlier deployment has left lying is put up again with what it ran before. */
async function hold(run: Run, progress: Progress, one: MachineRun, reason: string): Promise<void> {
  const { plan } = one;
  if (!isLeftDown(run, plan)) return leave(run, progress, plan, reason);
  begin(run, one, progress, () => takeBack(run, one, `held: ${reason}; it was left down`));
  await progress.running.get(plan.path)?.ended;
}

function leave(run: Run, progress: Progress, plan: MachinePlan, reason: string): void {
  const { stepSeconds } = machineRun(plan);
  end(run, progress, { path: plan.path, result: "held", reasons: [`held: ${reason}`], stepSeconds });
}

function tell(run: Run, { told }: Progress, path: string, text: string): void {
  if (told.get(path) === text) return;
  told.set(path, text);
  run.hands.report({ kind: "waits", path, text });
}

function nodeOf({ machine }: MachinePlan): string {
  return machine.spec.node ?? "";
}
