import { observe } from "../../centre/observe.ts";
import { planRollBack } from "../../centre/roll-back.ts";
import { selectMachines } from "../../centre/select-machines.ts";
import { withPreparedCentre } from "../centre-program.ts";
import type { Command } from "../command.ts";
import { carryOut, deployOptions, planOptions } from "../deploy-command.ts";

export const rollBack: Command = {
  positionals: "MACHINE…",
  minimumPositionals: 1,
  maximumPositionals: Number.POSITIVE_INFINITY,
  options: {
    ...deployOptions,
    to: {
      type: "string",
      placeholder: "N",
      description: "the generation: its number or stamp (default: the one before)",
    },
    "with-state": { type: "boolean", description: "bring volumes back too, to what they held when that root was left" },
  },
  examples: ["roll-back web/one", "roll-back web/one --to 2", "roll-back db --with-state"],
  details:
    "Gives machines an older root, by the same steps as a deployment: shut down, volumes snapshotted, root exchanged,\n" +
    "started, checked. What the volumes hold now is kept in a snapshot, also with --with-state.",
  run: (context) =>
    withPreparedCentre(context, async (work) => {
      const { centre, pool, hypervisor } = work;
      const { to } = context.options;
      const observation = await observe(pool, hypervisor, centre.desired, { allSnapshots: true });
      const plan = planRollBack(centre.desired, observation, {
        ...(await planOptions(context, work)),
        paths: selectMachines(centre.centre, context.positionals),
        ...(typeof to === "string" && { to }),
        withState: context.options["with-state"] === true,
      });
      return carryOut(context, work, plan);
    }),
};
