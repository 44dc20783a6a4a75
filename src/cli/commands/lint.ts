import { resolve } from "node:path";
import { formatLocation } from "../../base/location.ts";
import { realiseSystem } from "../../build/compose.ts";
import { loadModule } from "../../build/load-program.ts";
import { openPackages } from "../../build/open-packages.ts";
import { openSystem } from "../../build/open-system.ts";
import { prepareSystem } from "../../build/prepare.ts";
import { lintPackage } from "../../packages/lint-package.ts";
import { isSourcePackage } from "../../packages/source-package.ts";
import type { Finding } from "../../system/lint/finding.ts";
import { lintSystem } from "../../system/lint/lint-system.ts";
import { type Command, type CommandContext, exitCodes, programOptions } from "../command.ts";
import { programSession } from "../program-session.ts";

export const lintCommand: Command = {
  positionals: "FILE[#PACKAGE]",
  minimumPositionals: 1,
  maximumPositionals: 1,
  options: { lock: programOptions.lock },
  examples: ["lint examples/server-1.ts", "lint examples/packages/packages.ts", "lint packages.ts#pmix_5"],
  details:
    "Of a system, looks at the composed file tree: units that nothing enables, drivers without modules.dep, dangling\n" +
    "links, missing libraries, accounts and owners that do not exist, private keys. Of packages, looks at what their\n" +
    "records say. Ends with 1 when it finds an error; -v tells notes.",
  async run(context) {
    const [file] = context.positionals as [string];
    if (await isOfPackages(file)) return lintPackages(context, file);
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

/** A program of packages has no default export that is a system. */
async function isOfPackages(word: string): Promise<boolean> {
  if (word.includes("#")) return true;
  const module = await loadModule(resolve(word));
  return module.default === undefined && Object.values(module).some((value) => isSourcePackage(value));
}

async function lintPackages(context: CommandContext, word: string): Promise<number> {
  const { packages } = await openPackages(word);
  const all = [...new Set(packages.values())];
  const findings = all.flatMap((one) => lintPackage(one));
  if (context.json) context.print(JSON.stringify(findings, undefined, 2));
  else {
    const shown = findings.filter(({ severity }) => context.verbose || severity !== "note");
    for (const { severity, package: name, where, what, check, hint } of shown) {
      const place = where ? `${formatLocation(where, process.cwd())}: ` : "";
      context.print(`${severity}: ${place}${name}: ${what} [${check}]${hint === undefined ? "" : `\n  hint: ${hint}`}`);
    }
    context.print(`${all.length} packages: ${counts(findings)}`);
  }
  return findings.some(({ severity }) => severity === "error") ? exitCodes.failure : exitCodes.success;
}

function render({ check, severity, path, origin, what, hint }: Finding): string {
  const place = path === undefined ? "" : `${path}${origin === undefined ? "" : ` (${origin})`}: `;
  return `${severity}: ${place}${what} [${check}]${hint === undefined ? "" : `\n  hint: ${hint}`}`;
}

function summary(findings: readonly Finding[], paths: number): string {
  return `${paths} paths: ${counts(findings)}`;
}

function counts(findings: readonly Pick<Finding, "severity">[]): string {
  const count = (severity: Finding["severity"]): number => findings.filter((one) => one.severity === severity).length;
  return `${count("error")} errors, ${count("warning")} warnings, ${count("note")} notes`;
}
