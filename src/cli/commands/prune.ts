import { executePrune } from "../../centre/execute-prune.ts";
import { observe } from "../../centre/observe.ts";
import { deployExitCodes } from "../../centre/outcome.ts";
import { planPrune } from "../../centre/prune.ts";
import { realHands } from "../../centre/real-hands.ts";
import { centreOptions, withPreparedCentre } from "../centre-program.ts";
import { type Command, exitCodes } from "../command.ts";
import { confirm } from "../confirm.ts";

export const prune: Command = {
  positionals: "",
  minimumPositionals: 0,
  maximumPositionals: 0,
  options: {
    ...centreOptions,
    yes: { type: "boolean", short: "y", description: "do it without asking" },
    "dry-run": { type: "boolean", short: "n", description: "say what would go, and stop" },
  },
  examples: ["prune --dry-run", "prune"],
  details:
    "Removes images, snapshots and descriptions that no machine, no way back and no keep rule of the program needs. Never\n" +
    "what is in use or the parent of something, and never a volume.",
  run: (context) =>
    withPreparedCentre(context, async (work) => {
      const { centre, pool, hypervisor } = work;
      const seen = await observe(pool, hypervisor, centre.desired, { allSnapshots: true });
      const plan = planPrune(centre.desired, seen, await pool.documents());
      const isDry = context.options["dry-run"] === true;
      if (context.json && isDry) context.print(JSON.stringify(plan, undefined, 2));
      if (!context.json) {
        for (const { kind, name, volume, why } of plan.removals) {
          context.print(`${kind} ${volume === undefined ? name : `${volume}@${name}`}: ${why}`);
        }
        for (const text of plan.leftovers) context.print(`left alone: ${text}`);
        if (plan.removals.length === 0) context.print("nothing to remove");
      }
      if (isDry) return exitCodes.success;
      if (plan.removals.length > 0 && !(await confirm(context))) return deployExitCodes.refused;
      const hands = realHands({ ...work, report: () => {}, signal: context.signal });
      const outcome = await executePrune(plan, centre.desired, hands);
      if (context.json) context.print(JSON.stringify({ plan, outcome }, undefined, 2));
      else {
        for (const { removal, why } of outcome.left) context.print(`${removal.kind} ${removal.name} stays: ${why}`);
        for (const name of outcome.swept) context.print(`${name}: what a killed publication had left`);
        for (const reason of outcome.reasons) context.print(reason);
        context.print(`${outcome.removed.length} removed: ${outcome.result.replaceAll("-", " ")}`);
      }
      return deployExitCodes[outcome.result];
    }),
};
