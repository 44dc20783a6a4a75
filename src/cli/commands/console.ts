import { failure } from "../../base/error.ts";
import { machineId } from "../../centre/desired.ts";
import { selectMachine } from "../../centre/select-machines.ts";
import { centreOptions, withCentre } from "../centre-program.ts";
import type { Command } from "../command.ts";
import { runAttached } from "../run-attached.ts";

export const consoleCommand: Command = {
  positionals: "MACHINE",
  minimumPositionals: 1,
  maximumPositionals: 1,
  options: centreOptions,
  examples: ["console web/one"],
  details: "Ties this terminal to the machine's serial console; Ctrl-] leaves it.",
  run: (context) =>
    withCentre(context, async ({ centre, hypervisor }) => {
      const path = selectMachine(centre, context.positionals[0]!);
      const command = hypervisor.consoleCommand(machineId(path, centre.machines[path]!));
      if (!command) {
        throw failure("no-console", `${hypervisor.title} gives no way to the console of ${path} from here`);
      }
      if (!context.json) return runAttached(command);
      context.print(JSON.stringify({ command }, undefined, 2));
      return undefined;
    }),
};
