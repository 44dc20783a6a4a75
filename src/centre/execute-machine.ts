import { MesoError } from "../base/error.ts";
import {
  cloneCandidate,
  confirmRoot,
  markRoot,
  promoteCandidate,
  verifyCandidate,
  writeVerdict,
} from "./image-steps.ts";
import * as machine from "./machine-steps.ts";
import type { MachineOutcome, MachineResult } from "./outcome.ts";
import { type MachineRun, persistently, type Run, reasonOf, takeDone, wholeSeconds } from "./run.ts";
import { imageSteps, type Step, type StepKind, step } from "./steps.ts";

/** Clones, tries and promotes nothing that the plan does not say. Undefined when all went well. */
export async function executeImages(run: Run, one: MachineRun): Promise<MachineOutcome | undefined> {
  // A promotion to be swapped comes right before the swap; one to be kept for later belongs here.
  const isLast = one.plan.steps.every(({ kind }) => imageSteps.has(kind));
  const kinds: StepKind[] = isLast ? ["clone", "verify", "promote"] : ["clone", "verify"];
  try {
    for (const act of one.plan.steps) if (kinds.includes(act.kind)) await doStep(run, one, act, false);
  } catch (error) {
    const isRejected = error instanceof MesoError && error.code === "rejected";
    return outcome(one, isRejected ? "rejected" : "failed", [reasonOf(error)]);
  }
  return undefined;
}

/** Takes the machine from one root to the other; back, when that fails. */
export async function executeMachine(run: Run, one: MachineRun): Promise<MachineOutcome> {
  const { plan } = one;
  const steps = plan.steps.filter(({ kind }) => !["publish", "clone", "verify"].includes(kind));
  for (const act of steps) {
    try {
      await doStep(run, one, act, false);
    } catch (error) {
      return afterFailure(run, one, act, error);
    }
  }
  const isBack = plan.action === "take-back";
  return outcome(one, isBack ? "rolled-back" : "done", isBack ? plan.reasons : []);
}

/** The way back of a machine that has reached its goal: its wave is taken back whole. */
export async function takeBack(run: Run, one: MachineRun, reason: string): Promise<MachineOutcome> {
  if (one.plan.wayBack.length === 0) return outcome(one, "done", [`${reason}; it has no way back`]);
  return goBack(run, one, one.plan.wayBack, reason);
}

async function doStep(run: Run, one: MachineRun, act: Step, isWayBack: boolean): Promise<void> {
  const { hands, journal } = run;
  const { path } = one.plan;
  one.begun.add(act.kind);
  hands.report({ kind: "step", path, step: act.kind, text: act.text, isWayBack });
  await journal.write({ machine: path, ...takeDone(one), next: act.text });
  const began = hands.clock.now();
  if (act.kind === "power-off") one.downAt ??= began;
  try {
    await persistently(run, () => perform(run, one, act));
  } catch (error) {
    await journal.write({ machine: path, done: act.kind, failed: error instanceof MesoError ? error.code : "bug" });
    throw error;
  }
  const seconds = hands.clock.now() - began;
  one.stepSeconds[act.kind] = (one.stepSeconds[act.kind] ?? 0) + seconds;
  if (act.kind === "check" && one.downAt !== undefined) {
    one.outageSeconds = (one.outageSeconds ?? 0) + hands.clock.now() - one.downAt;
    delete one.downAt;
  }
  // Told together with what comes next: half as many lines.
  one.done = { done: act.kind, seconds: Math.round(seconds * 1000) / 1000 };
  hands.report({ kind: "stepped", path, step: act.kind, seconds });
}

async function perform(run: Run, one: MachineRun, act: Step): Promise<void> {
  switch (act.kind) {
    case "publish":
      return;
    case "clone":
      return cloneCandidate(run, act);
    case "verify":
      return verifyCandidate(run, one, act);
    case "promote":
      return promoteCandidate(run, act);
    case "mark":
      return markRoot(run, act);
    case "confirm":
      await confirmRoot(run, one, act);
      return machine.forgetOtherSecrets(run, one, act.root);
    case "drain":
      return machine.drain(run, one);
    case "undrain":
      return machine.undrain(run, one);
    case "power-off":
      return machine.powerOff(run, one);
    case "power-on":
      return machine.powerOn(run, one);
    case "define":
      return machine.define(run, one, act);
    case "create-volume":
      return machine.createVolume(run, one, act);
    case "attach-root":
      return machine.attachRoot(run, one, act);
    case "attach-volume":
      return machine.attachVolume(run, one, act);
    case "snapshot":
      return machine.snapshot(run, act);
    case "restore":
      return machine.restore(run, one, act);
    case "check":
      return machine.check(run, one);
    case "trim":
      return machine.trim(run, one, act);
  }
}

/** Nobody may act without the lease, and a machine that works is not taken down for the sake of a note. */
async function afterFailure(run: Run, one: MachineRun, failed: Step, error: unknown): Promise<MachineOutcome> {
  const { plan } = one;
  const reason = `${failed.text}: ${reasonOf(error)}`;
  const isTouched = one.begun.has("drain") || one.begun.has("power-off") || one.begun.has("power-on");
  if (error instanceof MesoError && error.code === "lease-lost") {
    return outcome(one, isTouched ? "broken" : "failed", [reason]);
  }
  if (["undrain", "confirm", "trim"].includes(failed.kind)) {
    return outcome(one, "unfinished", [reason, "it works; deploy again to end what is left"]);
  }
  run.hands.report({ kind: "trouble", path: plan.path, text: reason });
  if (one.begun.has("power-on")) one.hasFailed = true;
  // An error that kept the checks from taking place says nothing about the system.
  const isVerdict = error instanceof MesoError && error.code === "checks-failed";
  if (isVerdict) await rememberFailure(run, one, reasonOf(error));
  if (!isTouched) return outcome(one, "failed", [reason]);
  if (!(await wentDown(run, one))) return standDown(run, one, reason);
  if (plan.wayBack.length === 0) return outcome(one, "broken", [reason, "there is no older root to go back to"]);
  return goBack(run, one, plan.wayBack, reason);
}

async function goBack(run: Run, one: MachineRun, steps: readonly Step[], reason: string): Promise<MachineOutcome> {
  // What no other root had in hand, and was not brought to older contents, is as it was left.
  const isAsLeft = !one.begun.has("power-on") && !one.begun.has("restore") && !hadOther(run, one);
  // Nor can be restored what these steps were to snapshot, and did not come to.
  const snapshots = one.plan.steps.flatMap((act) => (act.kind === "snapshot" ? [act.snapshot] : []));
  const isMissing = (act: Step) =>
    act.kind === "restore" && snapshots.includes(act.snapshot) && !one.begun.has("snapshot");
  const wanted = steps.filter((act) => !(isAsLeft && isOfState(act)) && !isMissing(act));
  for (const act of wanted) {
    try {
      await doStep(run, one, act, true);
    } catch (error) {
      const isUp = act.kind === "undrain" || act.kind === "confirm";
      const why = `on the way back, ${act.text}: ${reasonOf(error)}`;
      return outcome(one, isUp ? "unfinished" : "broken", [reason, why]);
    }
  }
  return outcome(one, "rolled-back", [reason]);
}

/** When the plan was made it had another root than the one that the way back leads to: that may have run. */
function hadOther({ hands: { hypervisor, pool } }: Run, { plan }: MachineRun): boolean {
  const { root } = plan.basis;
  if (root === undefined || root === "none" || plan.from === undefined) return false;
  return root !== hypervisor.volumeName(pool.disk(plan.from.image));
}

function isOfState(act: Step): boolean {
  return act.kind === "restore" || act.kind === "snapshot";
}

/** It was drained, or asked to shut down, and runs on: nothing has to be undone but that. */
async function standDown(run: Run, one: MachineRun, reason: string): Promise<MachineOutcome> {
  const { plan } = one;
  const marked = plan.steps.find((act) => act.kind === "mark" || act.kind === "promote");
  const undoing: Step[] = [
    ...(one.begun.has("drain") ? [step({ kind: "undrain" })] : []),
    ...(marked && plan.action !== "finish" ? [unmarking(run, one, marked)] : []),
  ];
  for (const act of undoing) {
    try {
      await doStep(run, one, act, true);
    } catch (error) {
      return outcome(one, "broken", [reason, `${act.text}: ${reasonOf(error)}`]);
    }
  }
  return outcome(one, "failed", [reason, "it runs on as before"]);
}

/** A new root waits for the next deployment; an older one is a generation again. */
function unmarking(run: Run, { plan }: MachineRun, marked: Step): Step {
  if (marked.kind !== "mark" && marked.kind !== "promote") return marked;
  const { root, intent } = marked;
  const isOlder = root === plan.from?.image || plan.action === "roll-back";
  if (!isOlder) return step({ kind: "mark", root, intent: { ...intent, isStaged: true } });
  const shape = run.images.get(root)?.about?.shape;
  return step({ kind: "confirm", root, ...(shape !== undefined && { shape }), settles: [] });
}

/** Whether the machine was really taken down: if it runs still, with the root that it had, it is left running. */
async function wentDown({ hands }: Run, { plan, begun }: MachineRun): Promise<boolean> {
  if (!begun.has("power-off")) return begun.has("power-on");
  if (begun.has("power-on") || begun.has("attach-root") || begun.has("define")) return true;
  const state = await hands.hypervisor.inspect(plan.machine.id).catch(() => undefined);
  return state?.power !== "on";
}

/** What failed once is not tried again by itself: the verdict of every image with these bytes says so. */
async function rememberFailure(run: Run, { plan }: MachineRun, reason: string): Promise<void> {
  const { hands, images } = run;
  const isNew = plan.action === "swap" || plan.action === "create" || plan.action === "finish";
  const about = plan.to && images.get(plan.to.image)?.about;
  const isReshaped = plan.wayBack.some((act) => act.kind === "attach-root" && act.root === plan.to?.image);
  if (!isNew || !about?.system || isReshaped) return;
  const verdict = { passed: false, at: wholeSeconds(hands.clock), by: hands.holder, failed: [reason], checks: 1 };
  await persistently(run, () => writeVerdict(run, about, verdict)).catch((error: unknown) => {
    hands.report({ kind: "trouble", path: plan.path, text: `its failure could not be noted: ${reasonOf(error)}` });
  });
}

function outcome(one: MachineRun, result: MachineResult, reasons: readonly string[]): MachineOutcome {
  const { plan, stepSeconds, outageSeconds } = one;
  const root =
    result === "done" || result === "unfinished"
      ? plan.to?.image
      : result === "rolled-back"
        ? plan.from?.image
        : undefined;
  return {
    path: plan.path,
    result,
    reasons,
    ...(root !== undefined && { root }),
    ...(outageSeconds !== undefined && { outageSeconds }),
    stepSeconds: { ...stepSeconds },
  };
}
