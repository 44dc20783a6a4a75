import { mkdirSync } from "node:fs";
import { join } from "node:path";
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
  details:
    "Logs in as the first person who has an account there. Words behind -- go to ssh: a command, or options.\n" +
    "Host keys are remembered in .meso/known_hosts beside the program.",
  run: (context) =>
    withCentre(context, async (at) => {
      const [word, ...rest] = context.positionals as [string, ...string[]];
      const target = await sshTarget(at, selectMachine(at.centre, word));
      const own = join(at.folder, ".meso");
      mkdirSync(own, { recursive: true, mode: 0o700 });
      const command = sshCommand(target, join(own, "known_hosts"));
      if (!context.json) return runAttached([...command, ...rest]);
      context.print(JSON.stringify({ command: [...command, ...rest] }, undefined, 2));
      return undefined;
    }),
};
