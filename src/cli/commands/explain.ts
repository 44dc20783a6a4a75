import { fetchSegments } from "../../build/fetch-archives.ts";
import { explainPath } from "../../centre/explain-path.ts";
import { renderExplanation } from "../../centre/render-explanation.ts";
import { centreOptions, withPreparedCentre } from "../centre-program.ts";
import { type Command, exitCodes } from "../command.ts";
import { systemFinder, systemReferences } from "../known-system.ts";

export const explain: Command = {
  positionals: "PATH SYSTEM",
  minimumPositionals: 2,
  maximumPositionals: 2,
  options: centreOptions,
  examples: ["explain /etc/ssh/sshd_config web/one", "explain /usr/bin/awk web/one@program"],
  details: `Which package, or which service and line of the program, made a path.\n${systemReferences}`,
  run: (context) =>
    withPreparedCentre(context, async (work) => {
      const [path, reference] = context.positionals as [string, string];
      const { title, description } = await systemFinder(work, { compose: true })(reference);
      const installed = description.packages.filter(({ part }) => part === "root");
      const tables = await fetchSegments(work.session, installed);
      const explanation = explainPath(description, path, (sha256) => tables.get(sha256)!);
      if (context.json) context.print(JSON.stringify({ system: title, ...explanation }, undefined, 2));
      else for (const line of renderExplanation(explanation)) context.print(line);
      return explanation.steps.length > 0 ? exitCodes.success : exitCodes.failure;
    }),
};
