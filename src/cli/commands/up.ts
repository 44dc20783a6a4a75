import { deployExitCodes } from "../../centre/outcome.ts";
import { selectMachines } from "../../centre/select-machines.ts";
import type { Centre } from "../../language/centre.ts";
import { type CentreWork, withPreparedCentre } from "../centre-program.ts";
import { type Command, type CommandContext, exitCodes } from "../command.ts";
import { carryOut, checkPlaces, deployOptions, makePlan } from "../deploy-command.ts";

const { yes: _isMeant, ...options } = deployOptions;

export const up: Command = {
  positionals: "[MACHINE…]",
  minimumPositionals: 0,
  maximumPositionals: Number.POSITIVE_INFINITY,
  options,
  examples: ["up", "up gate"],
  details:
    "Builds, tries and starts what does not run as the program says, without asking, and tells how to reach it. As meso\n" +
    "deploy otherwise; on a centre that runs as declared it changes nothing and ends with 0.",
  run: (context) =>
    withPreparedCentre(context, async (work) => {
      await checkPlaces(work);
      const plan = await makePlan(context, work, {});
      const code = await carryOut({ ...context, options: { ...context.options, yes: true } }, work, plan);
      const isUp = code === exitCodes.success || code === deployExitCodes["nothing-to-do"];
      if (isUp && !context.json) tellWays(context, work);
      return isUp ? exitCodes.success : code;
    }),
};

function tellWays(context: CommandContext, { centre: { centre } }: CentreWork): void {
  context.print("");
  for (const path of selectMachines(centre, context.positionals)) {
    context.print(`${path.padEnd(16)} ${[`meso ssh ${path}`, ...forwardsOf(centre, path)].join("   ")}`);
  }
}

/** Ports of this host that lead to it, but ssh's: `127.0.0.1:8081 → 80`. */
function forwardsOf({ machines }: Centre, path: string): string[] {
  return machines[path]!.nics.flatMap(({ forwards }) =>
    Object.entries(forwards).flatMap(([port, inside]) => (inside === 22 ? [] : [`127.0.0.1:${port} → ${inside}`])),
  );
}
