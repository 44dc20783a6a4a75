import { changelogReader } from "../../centre/read-changelog.ts";
import { renderDifference } from "../../centre/render-difference.ts";
import { isEmptyDifference } from "../../centre/system-difference.ts";
import { centreOptions, withPreparedCentre } from "../centre-program.ts";
import { type Command, exitCodes } from "../command.ts";
import { systemFinder, systemReferences } from "../known-system.ts";
import { toldDifference } from "../planned-differences.ts";

export const diff: Command = {
  positionals: "A [B]",
  minimumPositionals: 1,
  maximumPositionals: 2,
  options: centreOptions,
  examples: ["diff web/one", "diff web/one web/two", "diff web/one@202611251907 web/one@program"],
  details: `${systemReferences}\nWith A alone, what it runs is compared with what the program says. Ends with 1 when they differ.`,
  run: (context) =>
    withPreparedCentre(context, async (work) => {
      const [first, second = `${first!.split("@")[0]}@program`] = context.positionals;
      const find = systemFinder(work);
      const [before, after] = [await find(first!), await find(second)];
      const told = await toldDifference(before.description, after.description, changelogReader(work.session));
      if (context.json) context.print(JSON.stringify(told, undefined, 2));
      else {
        context.print(`--- ${before.title}\n+++ ${after.title}`);
        for (const line of renderDifference(told.difference, told.news, context)) context.print(line);
      }
      return isEmptyDifference(told.difference) ? exitCodes.success : exitCodes.failure;
    }),
};
