import { failure } from "../../base/error.ts";
import { executeAdoption, planAdoption } from "../../centre/adopt.ts";
import { observe } from "../../centre/observe.ts";
import { deployExitCodes } from "../../centre/outcome.ts";
import { realHands } from "../../centre/real-hands.ts";
import { selectMachine } from "../../centre/select-machines.ts";
import { centreOptions, withPreparedCentre } from "../centre-program.ts";
import { type Command, type CommandContext, exitCodes } from "../command.ts";
import { confirm } from "../confirm.ts";

export const adopt: Command = {
  positionals: "MACHINE",
  minimumPositionals: 1,
  maximumPositionals: 1,
  options: {
    ...centreOptions,
    volume: {
      type: "string",
      multiple: true,
      placeholder: "NAME=IMAGE",
      description: "which disk of the machine is a volume of the program (default: found by name or serial)",
    },
    yes: { type: "boolean", short: "y", description: "do it without asking" },
  },
  examples: ["adopt db", "adopt db --volume state=vm-233-disk-1"],
  details:
    "Takes over a machine that something else made. Writes on its disks whose they are, and changes nothing else: its\n" +
    "present root becomes the first generation, which meso roll-back leads to.",
  run: (context) =>
    withPreparedCentre(context, async (work) => {
      const { centre, pool, hypervisor } = work;
      const path = selectMachine(centre.centre, context.positionals[0]!);
      const observation = await observe(pool, hypervisor, centre.desired);
      const plan = planAdoption(centre.desired, observation, {
        path,
        volumes: namedVolumes(context),
        now: Date.now() / 1000,
      });
      if (context.json) context.print(JSON.stringify(plan, undefined, 2));
      else {
        for (const { name, about } of plan.images) {
          context.print(
            `${name} becomes ${about.role === "volume" ? `volume ${about.volume}` : "the first root"} of ${path}`,
          );
        }
        for (const remark of plan.remarks) context.print(`note: ${remark}`);
      }
      if (!(await confirm(context))) return deployExitCodes.refused;
      await executeAdoption(plan, centre.desired, realHands({ ...work, report: () => {}, signal: context.signal }));
      return exitCodes.success;
    }),
};

function namedVolumes({ options }: CommandContext): Record<string, string> {
  const words = (options.volume ?? []) as readonly string[];
  return Object.fromEntries(
    words.map((word) => {
      const [name, image, ...more] = word.split("=");
      if (name && image && more.length === 0) return [name, image];
      throw failure("usage", `found --volume ${word}`, { expected: "NAME=IMAGE, such as state=vm-233-disk-1" });
    }),
  );
}
