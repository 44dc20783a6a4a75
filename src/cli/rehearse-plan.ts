import { formatSeconds } from "../base/progress.ts";
import { measuredDurations, parseJournal } from "../centre/journal.ts";
import { observe } from "../centre/observe.ts";
import { deployExitCodes } from "../centre/outcome.ts";
import { changingMachines, type Plan } from "../centre/plan.ts";
import { rehearse } from "../simulation/rehearse.ts";
import type { CentreWork } from "./centre-program.ts";
import type { CommandContext } from "./command.ts";

/** Tells how a plan would run, step by step, by the executor itself on a simulated copy of the centre. */
export async function rehearsePlan(context: CommandContext, work: CentreWork, plan: Plan): Promise<number> {
  const { pool, hypervisor, centre } = work;
  const [observation, journal] = await Promise.all([observe(pool, hypervisor, centre.desired), pool.journal()]);
  const { outcome, steps, seconds, outages } = await rehearse(
    plan,
    observation,
    measuredDurations(parseJournal(journal)),
  );
  if (context.json)
    context.print(JSON.stringify({ plan, rehearsal: { outcome, steps, seconds, outages } }, undefined, 2));
  else {
    const width = Math.max(0, ...steps.map(({ path }) => path.length));
    for (const { path, text, at, seconds: took } of steps) {
      context.print(`${formatSeconds(at).padStart(8)}  ${path.padEnd(width)}  ${text} (${formatSeconds(took)})`);
    }
    for (const reason of outcome.reasons) context.print(reason);
    const away = Object.entries(outages).map(([path, outage]) => `${path} for ${formatSeconds(outage)}`);
    if (away.length > 0) context.print(`away: ${away.join(", ")}`);
    context.print(
      `${changingMachines(plan).length} machines in about ${formatSeconds(seconds)}; nothing real was touched`,
    );
  }
  return deployExitCodes[outcome.result];
}
