import { MesoError } from "../base/error.ts";
import { compareBytes } from "../base/order.ts";
import { type ChangelogEntry, compareCves, cvesIn, entriesBetween } from "../debian/changelog.ts";
import { compareVersions } from "../debian/version.ts";
import type { ReadChangelog } from "./read-changelog.ts";
import type { DescribedPackage } from "./system-description.ts";
import type { PackageDifference } from "./system-difference.ts";

/** What Debian's changelog says about one source package between two versions. */
export interface PackageNews {
  readonly source: string;
  /** Versions of the source package. */
  readonly before: string;
  readonly after: string;
  /** `brings`: the newer version is what the system will have. `loses`: it goes back, and what is told is gone again. */
  readonly direction: "brings" | "loses";
  /** Names of the packages of the system that were built from it, sorted. */
  readonly packages: readonly string[];
  /** The newest first. */
  readonly entries: readonly NewsEntry[];
  /** All that the entries mention, those left out too. */
  readonly cves: readonly string[];
  /** How many more entries there are than are told. */
  readonly omitted: number;
  /** Why nothing is known: the archive is gone from the mirrors, or has no changelog. */
  readonly unknown?: string;
}

export interface NewsEntry {
  readonly version: string;
  readonly distribution: string;
  readonly urgency: string;
  readonly date: string;
  readonly cves: readonly string[];
  readonly changes: string;
}

/** More of a package's history is no news: the way from one release of Debian to the next has hundreds of entries. */
const maximumEntries = 50;
/** Characters of an entry. */
const longestChanges = 16_384;

/**
 * The changelog entries between the old and the new version of every source that packages were built from, sorted by
 * name. A package that goes and one that comes in its place, as kernels do, are told like one that changed. What cannot
 * be read is told as unknown: a plan does not fail for it.
 *
 * @param packages of both systems, to find what archives refer to.
 */
export async function packageNews(
  changes: readonly PackageDifference[],
  packages: readonly DescribedPackage[],
  readChangelog: ReadChangelog,
): Promise<PackageNews[]> {
  const gone = Map.groupBy(
    changes.flatMap(({ before }) => before ?? []),
    ({ source }) => source,
  );
  const came = Map.groupBy(
    changes.flatMap(({ after }) => after ?? []),
    ({ source }) => source,
  );
  const news: PackageNews[] = [];
  for (const source of [...came.keys()].sort(compareBytes)) {
    const move = { source, before: newestOf(gone.get(source)), after: newestOf(came.get(source)) };
    if (move.before.length === 0 || compareVersions(versionOf(move.before), versionOf(move.after)) === 0) continue;
    news.push(await newsOf(move, packages, readChangelog));
  }
  return news;
}

/** Packages of one source that left, and that came. */
interface Move {
  readonly source: string;
  readonly before: readonly DescribedPackage[];
  readonly after: readonly DescribedPackage[];
}

/** Of several versions of one source the newest counts: a system has two while something holds on to the old one. */
function newestOf(packages: readonly DescribedPackage[] = []): DescribedPackage[] {
  const newest = [...packages].sort((a, b) => compareVersions(b.sourceVersion, a.sourceVersion))[0];
  return packages.filter(({ sourceVersion }) => sourceVersion === newest?.sourceVersion);
}

function versionOf([first]: readonly DescribedPackage[]): string {
  return first!.sourceVersion;
}

async function newsOf(
  { source, before, after }: Move,
  packages: readonly DescribedPackage[],
  readChangelog: ReadChangelog,
): Promise<PackageNews> {
  const versions = { before: versionOf(before), after: versionOf(after) };
  const brings = compareVersions(versions.after, versions.before) > 0;
  const [older, newer] = brings ? [versions.before, versions.after] : [versions.after, versions.before];
  const names = [...new Set([...(brings ? after : before)].map(({ name }) => name))].sort(compareBytes);
  const base = { source, ...versions, direction: brings ? "brings" : "loses", packages: names } as const;
  try {
    const text = await readAnyChangelog(brings ? after : before, packages, readChangelog);
    return { ...base, ...told(entriesBetween(text, older, newer)) };
  } catch (error) {
    if (!(error instanceof MesoError)) throw error;
    return { ...base, entries: [], cves: [], omitted: 0, unknown: error.problems[0]!.what };
  }
}

/**
 * The changelog of packages of one source, which have the same: the first that can be read will do.
 *
 * @param packages of the same system, to find what archives refer to.
 * @throws MesoError why the first one cannot be read, when none can.
 */
export async function readAnyChangelog(
  candidates: readonly DescribedPackage[],
  packages: readonly DescribedPackage[],
  readChangelog: ReadChangelog,
): Promise<string> {
  let failed: unknown;
  for (const candidate of candidates) {
    const sibling = (name: string): DescribedPackage | undefined =>
      packages.find((one) => one.name === name && one.sourceVersion === candidate.sourceVersion) ??
      packages.find((one) => one.name === name);
    try {
      return await readChangelog(candidate, sibling);
    } catch (error) {
      if (!(error instanceof MesoError)) throw error;
      failed ??= error;
    }
  }
  throw failed;
}

function told(entries: readonly ChangelogEntry[]): Pick<PackageNews, "entries" | "cves" | "omitted"> {
  const cves = [...new Set(entries.flatMap(({ changes }) => cvesIn(changes)))].sort(compareCves);
  const shown = entries.slice(0, maximumEntries).map(toNews);
  return { entries: shown, cves, omitted: entries.length - shown.length };
}

function toNews({ version, distributions, urgency, date, changes }: ChangelogEntry): NewsEntry {
  const isLong = changes.length > longestChanges;
  return {
    version,
    distribution: distributions.join(" "),
    urgency,
    date,
    cves: cvesIn(changes),
    changes: isLong ? `${changes.slice(0, longestChanges)}\n  …` : changes,
  };
}
