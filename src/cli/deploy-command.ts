import { env } from "node:process";
import { failure, MesoError } from "../base/error.ts";
import { formatBytes, formatSeconds, type Report } from "../base/progress.ts";
import { estimateBytes } from "../centre/estimate-bytes.ts";
import { executePlan } from "../centre/execute.ts";
import type { DeployEvent } from "../centre/hands.ts";
import { measuredDurations, parseJournal } from "../centre/journal.ts";
import { lookUpSecrets } from "../centre/machine-secrets.ts";
import { observe } from "../centre/observe.ts";
import { type DeployOutcome, deployExitCodes, type MachineOutcome } from "../centre/outcome.ts";
import { changingMachines, type DeployGoal, type Plan, type PlanOptions, planDeployment } from "../centre/plan.ts";
import { checkPlanFits, readPlan } from "../centre/plan-file.ts";
import { realHands } from "../centre/real-hands.ts";
import { renderDifference } from "../centre/render-difference.ts";
import { selectMachines } from "../centre/select-machines.ts";
import type { Centre } from "../language/centre.ts";
import { type CentreWork, centreOptions, withPreparedCentre } from "./centre-program.ts";
import { type Command, type CommandContext, exitCodes, type OptionSpec } from "./command.ts";
import { confirm } from "./confirm.ts";
import { plannedDifferences } from "./planned-differences.ts";
import { renderPlan } from "./render-plan.ts";

/** Options of the commands that change a centre. */
export const deployOptions = {
  ...centreOptions,
  yes: { type: "boolean", short: "y", description: "do it without asking" },
  force: {
    type: "string",
    placeholder: "REASON",
    description: "promote without a passing verdict; the reason is written on the image",
  },
  "take-back": {
    type: "string",
    placeholder: "machine|wave",
    description: "what goes back when a machine fails: it alone (the default), or its whole wave",
  },
} as const satisfies Readonly<Record<string, OptionSpec>>;

/** A command that brings machines as far as `goal`. */
export function deployCommand(
  goal: DeployGoal,
  parts: Pick<Command, "examples" | "details"> & { readonly options?: Command["options"] },
): Command {
  return {
    positionals: "[MACHINE…]",
    minimumPositionals: 0,
    maximumPositionals: Number.POSITIVE_INFINITY,
    ...parts,
    options: { ...deployOptions, ...parts.options },
    run: (context) =>
      withPreparedCentre(context, async (work) => {
        const { plan: file, rehearse } = context.options;
        const plan = typeof file === "string" ? keptPlan(context, work, file) : await makePlan(context, work, { goal });
        if (rehearse) return (await import("./rehearse-plan.ts")).rehearsePlan(context, work, plan);
        return carryOut(context, work, plan);
      }),
  };
}

/** A plan says which machines and how: what would change it is refused, not ignored. */
function keptPlan({ positionals, options }: CommandContext, { centre }: CentreWork, file: string): Plan {
  const said = [...positionals, ...["force", "take-back"].filter((name) => options[name] !== undefined)];
  if (said.length > 0) {
    throw failure("usage", `--plan FILE says everything already; found ${said.join(", ")} beside it`, {
      hint: "say it to meso plan -o FILE",
    });
  }
  const plan = readPlan(file);
  checkPlanFits(plan, centre.desired);
  return plan;
}

/** Looks at the world and plans; takes no lease. */
export async function makePlan(
  context: CommandContext,
  work: CentreWork,
  options: Pick<PlanOptions, "goal">,
): Promise<Plan> {
  const { centre, pool, hypervisor } = work;
  const observation = await observe(pool, hypervisor, centre.desired);
  return planDeployment(centre.desired, observation, {
    ...(await planOptions(context, work)),
    ...(context.positionals.length > 0 && { only: selectMachines(centre.centre, context.positionals) }),
    ...options,
  });
}

/** What the command line and the centre's own history say of any plan. */
export async function planOptions(
  context: CommandContext,
  { pool }: CentreWork,
): Promise<Pick<PlanOptions, "now" | "force" | "takeBack" | "durations">> {
  const { force } = context.options;
  return {
    now: Date.now() / 1000,
    durations: measuredDurations(parseJournal(await pool.journal())),
    ...(typeof force === "string" && { force: forced(force) }),
    takeBack: takeBackOf(context),
  };
}

/**
 * Whether pool and hypervisor can be worked with.
 * @throws MesoError with everything that is missing, of both.
 */
export async function checkPlaces({ pool, hypervisor, centre }: CentreWork): Promise<void> {
  const machines = centre.desired.machines.map(({ id }) => id);
  const problems = await Promise.all([
    pool.check(),
    hypervisor.check({ machines, storages: storagesOf(centre.centre), defines: true }),
  ]);
  if (problems.flat().length > 0) throw new MesoError(problems.flat());
}

function storagesOf({ pool }: Centre): string[] {
  return pool.kind === "ceph" && pool.storage !== undefined ? [pool.storage] : [];
}

/** Shows the plan, asks where somebody can answer, does exactly that, and tells what came of it. Gives the exit code. */
export async function carryOut(context: CommandContext, work: CentreWork, plan: Plan): Promise<number> {
  await showPlan(context, work, plan);
  // Before anything is asked for, let alone started.
  const secrets = lookUpSecrets(plan, work.centre, { env });
  if (changingMachines(plan).length > 0 && !(await confirm(context))) return deployExitCodes.refused;
  const hands = realHands({
    ...work,
    secrets,
    report: eventReporter(context.report),
    signal: context.signal,
  });
  const explain = (): void => {
    // A change that has begun is not left half done: that may take as long as a machine takes to boot.
    context.report({ stage: "stop", text: "what has begun is ended, nothing else is begun", seconds: 0 });
  };
  context.signal.addEventListener("abort", explain, { once: true });
  const outcome = await executePlan(plan, hands).finally(() => context.signal.removeEventListener("abort", explain));
  printOutcome(context, plan, outcome);
  if (context.signal.aborted) return exitCodes.interrupted;
  return deployExitCodes[outcome.result];
}

/** Prints the plan for a person; with --json it is part of the result. */
export async function showPlan(context: CommandContext, work: CentreWork, plan: Plan): Promise<void> {
  if (context.json) return;
  const { differences, estimate } = await planContents(work, plan);
  const rendered = new Map(
    [...differences].map(([path, { difference, news }]) => [path, renderDifference(difference, news, context)]),
  );
  for (const line of renderPlan(plan, rendered, { ...context, estimate })) context.print(line);
}

/** What a plan means for the insides of machines, and for the pool. */
export async function planContents({ session, centre, ...places }: CentreWork, plan: Plan) {
  const differences = await plannedDifferences({ session, centre, ...places }, plan);
  const running = [...differences.values()].map(({ before }) => before);
  return { differences, estimate: await estimateBytes(session, plan, centre.prepared, running) };
}

/** The executor's events as progress: a step shows when it begins, and stays when it has ended. */
function eventReporter(report: Report): (event: DeployEvent) => void {
  const running = new Map<string, string>();
  return (event) => {
    switch (event.kind) {
      case "stage":
        return report({ stage: "deploy", text: event.text });
      case "step":
        running.set(event.path, `${event.isWayBack ? "way back: " : ""}${event.text}`);
        return report({ stage: event.path, text: running.get(event.path)! });
      case "stepped":
        return report({ stage: event.path, text: running.get(event.path) ?? event.step, seconds: event.seconds });
      case "waits":
        return report({ stage: event.path, text: `waits ${event.text}`, seconds: 0 });
      case "trouble":
        return report({ stage: event.path ?? "deploy", text: event.text, seconds: 0 });
      case "machine":
        return report({ stage: event.outcome.path, text: outcomeWords(event.outcome), seconds: 0 });
    }
  };
}

const results: Readonly<Record<MachineOutcome["result"], string>> = {
  done: "done",
  rejected: "its candidate failed on trial; the machine was not touched",
  "rolled-back": "the new root failed; the old one works again",
  held: "was not touched",
  failed: "failed before it was touched",
  unfinished: "works, and is not done: the next deployment ends it",
  broken: "IS NOT BACK: look at it",
};

function outcomeWords({ result, reasons, outageSeconds }: MachineOutcome): string {
  const outage = outageSeconds === undefined ? "" : `, away for ${formatSeconds(outageSeconds)}`;
  return `${results[result]}${outage}${reasons.length > 0 ? `: ${reasons.join("; ")}` : ""}`;
}

function printOutcome(context: CommandContext, plan: Plan, outcome: DeployOutcome): void {
  if (context.json) {
    context.print(JSON.stringify({ plan, outcome }, undefined, 2));
    return;
  }
  context.print("");
  for (const machine of outcome.machines) context.print(`${machine.path}  ${outcomeWords(machine)}`);
  for (const reason of outcome.reasons) context.print(reason);
  const bytes = outcome.publishedBytes > 0 ? `, ${formatBytes(outcome.publishedBytes)} published` : "";
  context.print(`${outcome.result.replaceAll("-", " ")} in ${formatSeconds(outcome.seconds)}${bytes}`);
}

function forced(reason: string): string {
  if (reason.trim() !== "") return reason.trim();
  throw failure("usage", "--force needs a reason", { hint: '--force "the checks cannot run here"' });
}

function takeBackOf({ options }: CommandContext): "machine" | "wave" {
  const word = options["take-back"] ?? "machine";
  if (word === "machine" || word === "wave") return word;
  throw failure("usage", `found --take-back ${word}`, { expected: "machine or wave" });
}
