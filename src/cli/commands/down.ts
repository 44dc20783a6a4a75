import { takeLease } from "../../centre/lease-keeper.ts";
import { deployExitCodes } from "../../centre/outcome.ts";
import { powerDown } from "../../centre/power-down.ts";
import { realHands } from "../../centre/real-hands.ts";
import { selectMachines } from "../../centre/select-machines.ts";
import { centreOptions, withPreparedCentre } from "../centre-program.ts";
import type { Command } from "../command.ts";

export const down: Command = {
  positionals: "[MACHINE…]",
  minimumPositionals: 0,
  maximumPositionals: Number.POSITIVE_INFINITY,
  options: {
    ...centreOptions,
    forget: {
      type: "boolean",
      description: "also remove the machines from the hypervisor; their disks stay in the pool",
    },
  },
  examples: ["down", "down --forget", "down web/two"],
  details: "Shuts machines down, later waves first. Roots, volumes and images stay: meso up starts them again.",
  run: (context) =>
    withPreparedCentre(context, async (work) => {
      const paths = selectMachines(work.centre.centre, context.positionals);
      const machines = work.centre.desired.machines.filter(({ path }) => paths.includes(path));
      const hands = realHands({ ...work, report: () => {}, signal: context.signal });
      const lease = await takeLease(hands, "meso down");
      try {
        const all = await powerDown(work.hypervisor, machines, {
          parallel: work.centre.desired.limits.parallel,
          forget: context.options.forget === true,
          guard: lease.guard,
          report: (path, text) => context.report({ stage: path, text }),
        });
        if (context.json) context.print(JSON.stringify({ machines: all }, undefined, 2));
        else
          for (const one of all) context.print(`${one.path.padEnd(16)} ${one.trouble ?? words[one.how ?? "absent"]}`);
        return all.some(({ trouble }) => trouble !== undefined) ? deployExitCodes["partly-done"] : undefined;
      } finally {
        await lease.release();
      }
    }),
};

const words = {
  graceful: "is down",
  forced: "is down; its power was cut",
  "was-off": "was down",
  absent: "is not there",
};
