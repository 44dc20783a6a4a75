import { type Generation, generationsOf } from "../../centre/generations.ts";
import { observe } from "../../centre/observe.ts";
import { selectMachines } from "../../centre/select-machines.ts";
import { centreOptions, withPreparedCentre } from "../centre-program.ts";
import type { Command } from "../command.ts";
import { stampWords } from "../words.ts";

export const generations: Command = {
  positionals: "[MACHINE…]",
  minimumPositionals: 0,
  maximumPositionals: Number.POSITIVE_INFINITY,
  options: centreOptions,
  examples: ["generations web/one", "generations"],
  details:
    "Roots that machines run or can be brought back to, with the system, its commit and its verdict. Changes nothing.",
  run: (context) =>
    withPreparedCentre(context, async ({ centre, pool, hypervisor }) => {
      const paths = selectMachines(centre.centre, context.positionals);
      const observation = await observe(pool, hypervisor, centre.desired, { allSnapshots: true });
      const all = centre.desired.machines
        .filter(({ path }) => paths.includes(path))
        .map((machine) => ({ machine: machine.path, generations: generationsOf(observation, machine) }));
      if (context.json) {
        context.print(JSON.stringify(all, undefined, 2));
        return undefined;
      }
      for (const { machine, generations: list } of all) {
        context.print(machine);
        if (list.length === 0) context.print("    none yet");
        for (const generation of list) context.print(`  ${generationLine(generation)}`);
      }
      return undefined;
    }),
};

function generationLine(generation: Generation): string {
  const { number, stamp, isCurrent, system, verdict, forced, isOpen, state } = generation;
  const commit =
    system?.commit === undefined
      ? ""
      : `, commit ${system.commit.slice(0, 10)}${system.isClean ? "" : " with changes"}`;
  const notes = [
    ...(isCurrent ? ["runs now"] : []),
    ...(isOpen ? ["its swap is not ended"] : []),
    ...(verdict
      ? [verdict.passed ? `passed ${verdict.checks} checks` : `failed: ${verdict.failed.join("; ")}`]
      : ["not verified"]),
    ...(forced === undefined ? [] : [`forced: ${forced}`]),
    ...Object.values(state).map((snapshot) => `state ${snapshot}`),
  ];
  const marker = isCurrent ? "*" : " ";
  return `${marker} ${String(number).padStart(2)}  ${stampWords(stamp)}  system ${system?.systemHash.slice(0, 8) ?? "unknown"}${commit}; ${notes.join(", ")}`;
}
