import { deployExitCodes } from "../../centre/outcome.ts";
import { changingMachines } from "../../centre/plan.ts";
import { writePlan } from "../../centre/plan-file.ts";
import { withPreparedCentre } from "../centre-program.ts";
import { type Command, exitCodes } from "../command.ts";
import { deployOptions, makePlan, planContents, showPlan } from "../deploy-command.ts";

const { yes: _asksNothing, ...options } = deployOptions;

export const plan: Command = {
  positionals: "[MACHINE…]",
  minimumPositionals: 0,
  maximumPositionals: Number.POSITIVE_INFINITY,
  options: {
    ...options,
    output: {
      type: "string",
      short: "o",
      placeholder: "FILE",
      description: "keep the plan, for meso deploy --plan FILE",
    },
  },
  examples: ["plan", "plan 'slurm/*' -v", "plan -o today.json"],
  details:
    "Looks at pool and hypervisor and says what a deployment would do to each machine, and why. Changes nothing and takes\n" +
    "no lease. Ends with 0 when there is something to do, 3 when there is nothing, 6 when machines are blocked.",
  run: (context) =>
    withPreparedCentre(context, async (work) => {
      const made = await makePlan(context, work, {});
      if (typeof context.options.output === "string") writePlan(made, context.options.output);
      if (context.json) {
        const { differences, estimate } = await planContents(work, made);
        const inside = [...differences].map(([machine, { difference, news }]) => ({ machine, difference, news }));
        context.print(JSON.stringify({ plan: made, differences: inside, estimate }, undefined, 2));
      } else await showPlan(context, work, made);
      if (changingMachines(made).length > 0) return exitCodes.success;
      const isStopped = made.machines.some(({ action }) => action === "foreign" || action === "blocked");
      return isStopped ? deployExitCodes.refused : deployExitCodes["nothing-to-do"];
    }),
};
