import { selectMachine } from "../../centre/select-machines.ts";
import { centreOptions, withCentre } from "../centre-program.ts";
import type { Command } from "../command.ts";
import { runAttached } from "../run-attached.ts";
import { sshCommand, sshTarget } from "../ssh-target.ts";

export const ssh: Command = {
  positionals: "MACHINE [-- WORD…]",
  minimumPositionals: 1,
  maximumPositionals: Number.POSITIVE_INFINITY,
  options: centreOptions,
  examples: ["ssh web/one", "ssh web/one -- systemctl --failed"],
  details: "Logs in as the first person who has an account there. Words behind -- go to ssh: a command, or options.",
  run: (context) =>
    withCentre(context, async (at) => {
      const [word, ...rest] = context.positionals as [string, ...string[]];
      const command = sshCommand(await sshTarget(at, selectMachine(at.centre, word)));
      if (!context.json) return runAttached([...command, ...rest]);
      context.print(JSON.stringify({ command: [...command, ...rest] }, undefined, 2));
      return undefined;
    }),
};
