import { fileAt, realPath } from "../draft-tree.ts";
import { findUnit, unitFolders, unitSection } from "../hooks/unit-files.ts";
import type { Check, Finding, LintInput } from "./finding.ts";

/** Units: something is enabled; what will be started exists, and so do the accounts it runs as. */
export const units: Check = (input) => {
  const { tree } = input;
  const wanted = [...tree.keys()].filter((path) => /\.(wants|requires|upholds)\/[^/]+$/.test(path));
  const findings: Finding[] = [];
  if (!wanted.some((path) => path.startsWith("/etc/systemd/system/"))) {
    findings.push({
      check: "no-enabled-unit",
      severity: "error",
      what: "no unit is enabled: the machine would boot to a state called running and do nothing",
      hint: "add services, or unit names to enable",
    });
  }
  const names = new Set(
    wanted.map((path) => path.slice(path.lastIndexOf("/") + 1)).concat(input.manifest.enabledUnits),
  );
  const reachable = [...names].filter((name) => unitFolders.some((folder) => tree.has(`${folder}/${plainName(name)}`)));
  const accounts = accountNames(input);
  return [...findings, ...reachable.flatMap((name) => unitFindings(input, name, accounts))];
};

function plainName(name: string): string {
  return name.replace(/@[^@]+(\.[a-z]+)$/, "@$1");
}

interface AccountNames {
  readonly users: ReadonlySet<string>;
  readonly groups: ReadonlySet<string>;
}

function accountNames({ tree, readFile }: LintInput): AccountNames {
  const names = (path: string) => {
    const entry = fileAt(tree, path);
    const text = entry ? Buffer.from(readFile(entry)).toString("utf8") : "";
    return new Set(text.split("\n").map((line) => line.split(":")[0]!));
  };
  return { users: names("/etc/passwd"), groups: names("/etc/group") };
}

function unitFindings({ tree, readFile }: LintInput, name: string, accounts: AccountNames): Finding[] {
  const unit = findUnit(tree, name);
  if (unit === undefined || !unit.name.endsWith(".service")) return [];
  const service = unitSection(tree, unit, "Service", readFile);
  const origin = tree.get(unit.path)?.origin ?? "";
  const about = { path: unit.path, origin };
  const isConditional = conditional(unitSection(tree, unit, "Unit", readFile));
  const findings: Finding[] = [];
  const dynamic = isTrue(service.get("DynamicUser")?.at(-1));
  const check = (key: "User" | "Group", known: ReadonlySet<string>) => {
    const account = service.get(key)?.at(-1);
    if (account === undefined || dynamic || /[%$]|^\d+$/.test(account) || known.has(account)) return;
    findings.push({
      check: "unit-without-account",
      severity: "error",
      ...about,
      what: `${name} runs as the ${key.toLowerCase()} ${account}, which does not exist`,
      hint: "install the package that brings the account, or declare it",
    });
  };
  check("User", accounts.users);
  check("Group", accounts.groups);
  for (const command of service.get("ExecStart") ?? []) {
    const program = /^([-@:+!|]*)(\/[^\s"']+)/.exec(command);
    if (!program || program[2]!.includes("%") || fileAt(tree, realPath(tree, program[2]!))) continue;
    const isOptional = program[1]!.includes("-") || isConditional;
    findings.push({
      check: "unit-without-program",
      severity: isOptional ? "note" : "error",
      ...about,
      what: `${name} starts ${program[2]}, which is not in the system`,
      hint: "install the package that brings it, or do not enable the unit",
    });
  }
  return findings;
}

/** As systemd reads it (parse_boolean). */
function isTrue(value = ""): boolean {
  return /^(1|y|yes|t|true|on)$/i.test(value);
}

/** Distributed with conditions so that it is skipped where what it needs is missing. */
function conditional(section: ReadonlyMap<string, readonly string[]>): boolean {
  return [...section.keys()].some((key) => /^Condition(Path|File|Directory)/.test(key));
}
