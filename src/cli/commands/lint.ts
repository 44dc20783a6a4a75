import { realiseSystem } from "../../build/compose.ts";
import { openSystem } from "../../build/open-system.ts";
import { prepareSystem } from "../../build/prepare.ts";
import type { Finding } from "../../system/lint/finding.ts";
import { lintSystem } from "../../system/lint/lint-system.ts";
import { type Command, exitCodes, programOptions } from "../command.ts";
import { programSession } from "../program-session.ts";

export const lintCommand: Command = {
  positionals: "FILE",
  minimumPositionals: 1,
  maximumPositionals: 1,
  options: { lock: programOptions.lock },
  examples: ["lint examples/server-1.ts"],
  details:
    "Looks at the composed file tree: units that nothing enables, drivers without modules.dep, dangling links, missing\n" +
    "libraries, accounts and owners that do not exist, private keys. Ends with 1 when it finds an error; -v tells notes.",
  async run(context) {
    const [file] = context.positionals as [string];
    const session = programSession(context, file);
    const prepared = await prepareSystem(session, await openSystem(file));
    const { tree, readFile } = await realiseSystem(session, prepared);
    const findings = lintSystem({ tree, manifest: prepared.manifest, readFile });
    const hasErrors = findings.some(({ severity }) => severity === "error");
    if (context.json) context.print(JSON.stringify(findings, undefined, 2));
    else {
      const shown = findings.filter(({ severity }) => context.verbose || severity !== "note");
      for (const finding of shown) context.print(render(finding));
      context.print(summary(findings, tree.size));
    }
    return hasErrors ? exitCodes.failure : exitCodes.success;
  },
};

function render({ check, severity, path, origin, what, hint }: Finding): string {
  const place = path === undefined ? "" : `${path}${origin === undefined ? "" : ` (${origin})`}: `;
  return `${severity}: ${place}${what} [${check}]${hint === undefined ? "" : `\n  hint: ${hint}`}`;
}

function summary(findings: readonly Finding[], paths: number): string {
  const count = (severity: Finding["severity"]): number => findings.filter((one) => one.severity === severity).length;
  return `${paths} paths: ${count("error")} errors, ${count("warning")} warnings, ${count("note")} notes`;
}
