import { failure, MesoError } from "../base/error.ts";
import { compareBytes, sortedBy } from "../base/order.ts";
import { changelogEntries, cvesIn } from "../debian/changelog.ts";
import { type Audit, type AuditedMachine, type AuditTools, audit } from "./audit.ts";
import { readAnyChangelog } from "./package-news.ts";
import type { DescribedPackage, SystemDescription } from "./system-description.ts";

/** What is known of one vulnerability on each machine, by what Debian's changelogs say. */
export interface CveAudit {
  readonly cve: string;
  /** Source packages whose changelogs mention it; empty: nothing that the machines have or are offered does. */
  readonly sources: readonly string[];
  readonly machines: readonly MachineCve[];
}

export interface MachineCve {
  readonly machine: string;
  /**
   * `affected`: the channel has a fix that the machine does not run. `fixed`: it runs one. `not-installed`: it has no
   * package of the sources. `unknown`: it has one and no changelog of its channel tells, or nothing is known at all.
   */
  readonly status: "affected" | "fixed" | "not-installed" | "unknown";
  readonly findings: readonly CveFinding[];
  /** Sources whose changelogs cannot be read, and why: what they would tell is missing. */
  readonly unread: readonly string[];
}

export interface CveFinding {
  readonly source: string;
  readonly status: "affected" | "fixed" | "unknown";
  readonly installed: string;
  /** The version whose changelog entry mentions the vulnerability. */
  readonly fixedIn?: string;
  /** Where it can be had. */
  readonly suite?: string;
}

/**
 * Looks a vulnerability up in the changelogs of what is installed, and of what the channels have newer. Debian mentions
 * the number of what it fixes; a vulnerability without a fix is mentioned nowhere.
 *
 * @throws MesoError `wrong-cve` for what is no CVE number.
 */
export async function auditCve(
  asked: string,
  machines: readonly AuditedMachine[],
  tools: AuditTools,
): Promise<CveAudit & { readonly audit: Audit }> {
  const cve = asked.toUpperCase();
  if (cvesIn(cve)[0] !== cve) {
    throw failure("wrong-cve", `found ${JSON.stringify(asked.slice(0, 80))}`, {
      expected: "a number as CVE-2025-12345",
    });
  }
  const whole = await audit(machines, tools);
  const installed = installedMentions(cve, tools);
  const drafts: { machine: string; system: SystemDescription; findings: CveFinding[]; unread: string[] }[] = [];
  for (const { machine, updates } of whole.machines) {
    const { system } = machines.find((one) => one.machine === machine)!;
    const findings: CveFinding[] = [];
    const unread: string[] = [];
    for (const { source, installed: version, suite, news } of updates) {
      const entry = news.entries.findLast(({ cves }) => cves.includes(cve));
      const fixedIn = entry?.version ?? (news.cves.includes(cve) ? news.after : undefined);
      if (news.unknown !== undefined) unread.push(`${source}: ${news.unknown}`);
      if (fixedIn !== undefined) findings.push({ source, status: "affected", installed: version, fixedIn, suite });
    }
    const mentions = await installed(system);
    unread.push(...mentions.unread);
    for (const finding of mentions.findings) {
      if (!findings.some(({ source }) => source === finding.source)) findings.push(finding);
    }
    drafts.push({ machine, system, findings, unread });
  }
  const sources = [...new Set(drafts.flatMap(({ findings }) => findings.map(({ source }) => source)))].sort(
    compareBytes,
  );
  const answered = drafts.map(({ machine, system, findings, unread }): MachineCve => {
    const all = sortedBy([...findings, ...silent(system, sources, findings)], ({ source }) => source);
    return {
      machine,
      status: statusOf(all, sources),
      findings: all,
      unread: [...new Set(unread)].sort(compareBytes),
    };
  });
  return { cve, sources, machines: answered, audit: whole };
}

/** Sources that elsewhere mention it, and here, installed, do not. */
function silent(system: SystemDescription, sources: readonly string[], findings: readonly CveFinding[]): CveFinding[] {
  return sources.flatMap((source): CveFinding[] => {
    const own = system.packages.find((one) => one.source === source);
    if (own === undefined || findings.some((finding) => finding.source === source)) return [];
    return [{ source, status: "unknown", installed: own.sourceVersion }];
  });
}

function statusOf(findings: readonly CveFinding[], sources: readonly string[]): MachineCve["status"] {
  for (const status of ["affected", "unknown"] as const) {
    if (findings.some((one) => one.status === status)) return status;
  }
  if (sources.length === 0) return "unknown";
  return findings.length > 0 ? "fixed" : "not-installed";
}

type Mention = { readonly fixedIn: string } | { readonly unread: string } | undefined;

/** What the changelogs of installed packages say; each is read once for all machines. */
function installedMentions(cve: string, { readChangelog, fetch }: AuditTools) {
  const known = new Map<string, Promise<Mention>>();
  return async (system: SystemDescription): Promise<Pick<MachineCve, "findings" | "unread">> => {
    const groups = Map.groupBy(system.packages, ({ source, sourceVersion }) => `${source}\0${sourceVersion}`);
    await fetch([...groups].flatMap(([key, [first]]) => (known.has(key) ? [] : [first!])));
    const findings: CveFinding[] = [];
    const unread: string[] = [];
    for (const [key, group] of groups) {
      const mention = known.get(key) ?? mentionIn(group, system);
      known.set(key, mention);
      const told = await mention;
      const { source, sourceVersion: installed } = group[0]!;
      if (told && "unread" in told) unread.push(`${source}: ${told.unread}`);
      else if (told) findings.push({ source, status: "fixed", installed, fixedIn: told.fixedIn });
    }
    return { findings, unread };
  };

  async function mentionIn(group: readonly DescribedPackage[], system: SystemDescription): Promise<Mention> {
    try {
      const text = await readAnyChangelog(group, system.packages, readChangelog);
      // Most of them mention nothing: not worth taking apart.
      if (!text.includes(cve)) return undefined;
      // The oldest that mentions it brought the fix; a later one may tell more about it.
      const entry = [...changelogEntries(text)].findLast(({ changes }) => cvesIn(changes).includes(cve));
      return entry && { fixedIn: entry.version };
    } catch (error) {
      if (!(error instanceof MesoError)) throw error;
      return { unread: error.problems[0]!.what };
    }
  }
}
