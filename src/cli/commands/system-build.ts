import { diskImage } from "../../build/disk-image.ts";
import { openSystem } from "../../build/open-system.ts";
import { prepareSystem } from "../../build/prepare.ts";
import { type Command, programOptions } from "../command.ts";
import { printDryRun } from "../dry-run.ts";
import { programSession } from "../program-session.ts";

export const systemBuild: Command = {
  positionals: "FILE",
  minimumPositionals: 1,
  maximumPositionals: 1,
  options: programOptions,
  examples: ["system build examples/mini-1.ts", "system build --dry-run examples/mini-1.ts"],
  async run(context) {
    const [file] = context.positionals as [string];
    const session = programSession(context, file);
    const prepared = await prepareSystem(session, await openSystem(file));
    if (context.options["dry-run"]) return void printDryRun(context, session, prepared);
    const { imageHash } = await diskImage(session, prepared);
    const { systemHash } = prepared;
    if (context.json) context.print(JSON.stringify({ systemHash, imageHash }, undefined, 2));
    else context.print(`system  ${systemHash}\nimage   ${imageHash}`);
    return undefined;
  },
};
