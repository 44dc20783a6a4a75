import { compareVersions, parseVersion } from "./version.ts";

/** One entry of a Debian changelog: what changed with one version of a source package. */
export interface ChangelogEntry {
  /** Name of the source package. */
  readonly package: string;
  readonly version: string;
  /** Where it was uploaded to: `trixie-security`. */
  readonly distributions: readonly string[];
  /** `low`, `medium`, `high`; `unknown` where it is not said. */
  readonly urgency: string;
  /** `Name <address>`; empty in an entry that was never finished. */
  readonly maintainer: string;
  /** As written: `Sat, 12 Sep 2026 07:55:41 +0000`. */
  readonly date: string;
  /** The lines between, with their indentation, without blank lines around them. */
  readonly changes: string;
}

/**
 * The entries of a changelog, the newest first (Debian Policy 4.4; deb-changelog(5)). What is no entry is passed over,
 * as by dpkg: comments, editors' settings, the free forms of the nineties. An entry whose version is none is left out.
 */
export function* changelogEntries(text: string): Generator<ChangelogEntry> {
  let open: { header: Header; lines: string[] } | undefined;
  for (const line of linesOf(text)) {
    const header = parseHeader(line);
    if (header) {
      if (open) yield finish(open.header, open.lines);
      open = { header, lines: [] };
      continue;
    }
    if (open === undefined) continue;
    const trailer = trailerPattern.exec(line);
    if (trailer) {
      yield { ...finish(open.header, open.lines), maintainer: `${trailer[1]} <${trailer[2]}>`, date: trailer[3]! };
      open = undefined;
    } else if (line === "" || /^\s{2}/.test(line)) open.lines.push(line);
  }
  if (open) yield finish(open.header, open.lines);
}

/**
 * The entries of versions above `after` up to `upTo`, the newest first. Where the changelog has `after` itself, nothing
 * below it counts: it is in `after`.
 */
export function entriesBetween(text: string, after: string, upTo: string): ChangelogEntry[] {
  const entries: ChangelogEntry[] = [];
  for (const entry of changelogEntries(text)) {
    if (entry.version === after) break;
    if (compareVersions(entry.version, after) > 0 && compareVersions(entry.version, upTo) <= 0) entries.push(entry);
  }
  return entries;
}

/** The vulnerabilities that a text mentions, by their CVE number, each once, sorted. */
export function cvesIn(text: string): string[] {
  return [...new Set(text.match(cvePattern) ?? [])].sort(compareCves);
}

/** By year, then number: `CVE-2024-9999` before `CVE-2024-10000`. */
export function compareCves(a: string, b: string): number {
  const [, aYear, aNumber] = a.split("-");
  const [, bYear, bNumber] = b.split("-");
  return Number(aYear) - Number(bYear) || Number(aNumber) - Number(bNumber);
}

/** CVE numbering: four digits or more (CVE ID syntax of 2014). */
const cvePattern = /\bCVE-[12][0-9]{3}-[0-9]{4,19}\b/g;

interface Header {
  readonly package: string;
  readonly version: string;
  readonly distributions: readonly string[];
  readonly urgency: string;
}

const headerPattern = /^(\w[-+.\w]*) \(([^() \t]+)\)((?:\s+[-+.0-9A-Za-z]+)+);(.*)$/;
const trailerPattern = /^ -- ?(.*) <(.*)> {1,2}(\S.*)$/;

/** Longer ones are no changelog's. */
const longestLine = 20_000;

function* linesOf(text: string): Generator<string> {
  for (let at = 0; at < text.length; ) {
    const found = text.indexOf("\n", at);
    const end = found < 0 ? text.length : found;
    yield text.slice(at, Math.min(end, at + longestLine)).trimEnd();
    at = end + 1;
  }
}

function parseHeader(line: string): Header | undefined {
  const match = headerPattern.exec(line);
  if (!match || !isVersion(match[2]!)) return undefined;
  return {
    package: match[1]!,
    version: match[2]!,
    distributions: match[3]!.trim().split(/\s+/),
    urgency: urgencyOf(match[4]!),
  };
}

function isVersion(text: string): boolean {
  try {
    parseVersion(text);
    return true;
  } catch {
    return false;
  }
}

function urgencyOf(settings: string): string {
  const setting = settings.split(",").find((one) => /^\s*urgency\s*=/i.test(one));
  return /=\s*([-0-9A-Za-z]+)/.exec(setting ?? "")?.[1]?.toLowerCase() ?? "unknown";
}

function finish(header: Header, lines: readonly string[]): ChangelogEntry {
  const changes = lines.join("\n").replace(/^\n+|\n+$/g, "");
  return { ...header, maintainer: "", date: "", changes };
}
