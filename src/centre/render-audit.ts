import { printable } from "../base/printable.ts";
import type { Audit, MachineAudit, PackageUpdate } from "./audit.ts";
import type { CveAudit, CveFinding, MachineCve } from "./audit-cve.ts";

/**
 * An audit as lines of plain text: machines with the same updates waiting are told together. The last one is the command
 * that plans them.
 * @param when what the machines were compared with: what the lock does not pin yet has to be pulled first
 */
export function renderAudit({ machines, suites }: Audit, when: "pinned" | "now" = "pinned"): string[] {
  if (machines.length === 0) return [noMachine];
  const waiting = machines.filter(({ updates }) => updates.length > 0);
  const channel = suites.map(({ suite, date }) => `${suite} of ${date.slice(0, 10)}`).join(", ");
  const groups = Map.groupBy(waiting, ({ updates }) => JSON.stringify(updates.map(updateKey)));
  const lines = [
    `${waiting.length} of ${machines.length} machines have updates waiting (${channel})`,
    ...[...groups.values()].flatMap(groupLines),
    ...planLine(
      waiting.map(({ machine }) => machine),
      when,
    ),
  ];
  return lines.map(printable);
}

/** What is known of one vulnerability, machine by machine, the affected ones first. */
export function renderCveAudit({ cve, sources, machines }: CveAudit, when: "pinned" | "now" = "pinned"): string[] {
  if (machines.length === 0) return [noMachine];
  const counts = statuses.flatMap((status) => {
    const number = machines.filter((one) => one.status === status).length;
    return number === 0 ? [] : [`${number} ${statusWords[status]}`];
  });
  const unread = new Set(machines.flatMap((one) => one.unread));
  const lines = [
    `${cve}: ${counts.join(", ")}`,
    ...(sources.length > 0
      ? []
      : [
          "  no changelog of what is installed or offered mentions it: nothing fixes it yet, or no machine has what it is in",
        ]),
    ...statuses.flatMap((status) => machines.filter((one) => one.status === status).flatMap(machineLines)),
    ...[...unread].map((one) => `  not read: ${one}`),
    ...planLine(
      machines.filter(({ status }) => status === "affected").map(({ machine }) => machine),
      when,
    ),
  ];
  return lines.map(printable);
}

const noMachine = "no machine runs a system that is known here";

const statuses = ["affected", "unknown", "fixed", "not-installed"] as const;
const statusWords: Readonly<Record<MachineCve["status"], string>> = {
  affected: "affected",
  unknown: "unknown",
  fixed: "fixed already",
  "not-installed": "without what it is in",
};

function machineLines({ machine, status, findings }: MachineCve): string[] {
  return [`  ${machine}: ${statusWords[status]}`, ...findings.map((finding) => `    ${findingWords(finding)}`)];
}

function findingWords({ source, status, installed, fixedIn, suite }: CveFinding): string {
  if (status === "affected") return `${source} ${installed}, fixed in ${fixedIn} (${suite})`;
  if (status === "fixed") return `${source} ${installed}, fixed since ${fixedIn}`;
  return `${source} ${installed}: its channel has no fix that says so`;
}

function updateKey({ source, installed, offered, packages }: PackageUpdate): unknown {
  return [source, installed, offered, packages.map(({ name }) => name)];
}

function groupLines(group: readonly MachineAudit[]): string[] {
  const { updates } = group[0]!;
  const security = updates.filter(({ isSecurity }) => isSecurity).length;
  const counts = [
    ...(security > 0 ? [`${security} security`] : []),
    ...(updates.length > security ? [`${updates.length - security} other`] : []),
  ];
  return [
    `${group.map(({ machine }) => machine).join(", ")}: ${counts.join(", ")}`,
    ...updates.flatMap((update) => updateLines(update).map((line) => `  ${line}`)),
  ];
}

const mostCves = 8;

function updateLines({ source, installed, offered, suite, packages, news }: PackageUpdate): string[] {
  const names = [...new Set(packages.map(({ name }) => name))].filter((name) => name !== source);
  const of = names.length > 0 ? `: ${names.join(", ")}` : "";
  const { cves, unknown } = news;
  const rest = cves.length > mostCves ? ` and ${cves.length - mostCves} more` : "";
  return [
    `${source} ${installed} → ${offered} (${suite})${of}`,
    ...(cves.length > 0 ? [`  mends ${cves.slice(0, mostCves).join(", ")}${rest}`] : []),
    ...(unknown === undefined ? [] : [`  its changelog is unknown: ${unknown}`]),
  ];
}

function planLine(machines: readonly string[], when: "pinned" | "now"): string[] {
  const pull = when === "now" ? "meso pull && " : "";
  return machines.length === 0 ? [] : [`to plan them: ${pull}meso plan ${machines.join(" ")}`];
}
