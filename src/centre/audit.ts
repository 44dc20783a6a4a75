import { MesoError } from "../base/error.ts";
import { compareBytes, sortedBy } from "../base/order.ts";
import { type FetchableArchive, fetchSegments } from "../build/fetch-archives.ts";
import type { BuildSession } from "../build/session.ts";
import type { PackageVersion } from "../debian/package-index.ts";
import { effectiveArchitecture } from "../debian/resolve-candidates.ts";
import { sourcePackage } from "../debian/source-package.ts";
import type { SourceOffer } from "../debian/source-versions.ts";
import { compareVersions } from "../debian/version.ts";
import { type ChannelOffer, channelOffers, type OfferFor } from "./channel-offer.ts";
import { type PackageNews, packageNews } from "./package-news.ts";
import { changelogReader, type ReadChangelog } from "./read-changelog.ts";
import type { DescribedPackage, SystemDescription } from "./system-description.ts";
import type { PackageDifference } from "./system-difference.ts";

/** A machine and the system that it runs. */
export interface AuditedMachine {
  /** Path in the program. */
  readonly machine: string;
  readonly system: SystemDescription;
}

/** Which machines run versions that the channel has newer ones of. */
export interface Audit {
  /** Sorted by name; those with nothing waiting too. */
  readonly machines: readonly MachineAudit[];
  /** The suites that were looked at, and when the archive made them. */
  readonly suites: readonly { readonly suite: string; readonly date: string }[];
}

export interface MachineAudit {
  readonly machine: string;
  readonly systemHash: string;
  /** Security fixes first, then by name of the source package. */
  readonly updates: readonly PackageUpdate[];
}

/** A source package of which the channel has a newer version than the machine runs. */
export interface PackageUpdate {
  readonly source: string;
  /** Versions of the source package. */
  readonly installed: string;
  readonly offered: string;
  /** Where the newer version is. */
  readonly suite: string;
  /** A security suite has it, or its changelog names a vulnerability. */
  readonly isSecurity: boolean;
  /** Of the machine, built from the source. */
  readonly packages: readonly Pick<DescribedPackage, "name" | "version" | "part">[];
  readonly news: PackageNews;
}

export interface AuditTools {
  readonly offerFor: OfferFor;
  readonly readChangelog: ReadChangelog;
  /** Brings archives that will be read, many at once; what cannot be had is told by who reads it. */
  readonly fetch: (archives: readonly FetchableArchive[]) => Promise<void>;
}

export function auditTools(session: BuildSession, when: "pinned" | "now"): AuditTools {
  return {
    offerFor: channelOffers(session, when),
    readChangelog: changelogReader(session),
    fetch: async (archives) => {
      await fetchSegments(session, archives).catch((error: unknown) => {
        session.signal.throwIfAborted();
        if (!(error instanceof MesoError)) throw error;
      });
    },
  };
}

/**
 * Compares what machines run with what their channels have, by source package, as Debian tells its fixes: a kernel of
 * another name is found, and packages that merely share a name with something vulnerable are not.
 */
export async function audit(machines: readonly AuditedMachine[], tools: AuditTools): Promise<Audit> {
  const suites = new Map<string, Audit["suites"][number]>();
  const news = new Map<string, Promise<PackageNews>>();
  const audited: MachineAudit[] = [];
  for (const { machine, system } of sortedBy(machines, (one) => one.machine)) {
    const offer = await tools.offerFor(system);
    for (const one of offer.suites) suites.set(one.suite, one);
    const updates: PackageUpdate[] = [];
    for (const waiting of waitingUpdates(system, offer)) {
      const key = [waiting.source, waiting.installed, waiting.offered, system.architecture].join("\0");
      const told = news.get(key) ?? newsOf(waiting, system, offer, tools.readChangelog);
      news.set(key, told);
      updates.push(toUpdate(waiting, await told));
    }
    audited.push({ machine, systemHash: system.systemHash, updates: updates.sort(mostUrgentFirst) });
  }
  return { machines: audited, suites: sortedBy(suites.values(), ({ suite }) => suite) };
}

interface WaitingUpdate {
  readonly source: string;
  readonly installed: string;
  readonly offered: string;
  readonly best: SourceOffer;
  readonly isInSecurity: boolean;
  readonly packages: readonly DescribedPackage[];
}

function waitingUpdates({ packages }: SystemDescription, { sources }: ChannelOffer): WaitingUpdate[] {
  const groups = Map.groupBy(packages, ({ source, sourceVersion }) => `${source}\0${sourceVersion}`);
  return [...groups.values()].flatMap((group): WaitingUpdate[] => {
    const { source, sourceVersion } = group[0]!;
    const newer = (sources.get(source) ?? []).filter(({ version }) => compareVersions(version, sourceVersion) > 0);
    const best = newer.reduce<SourceOffer | undefined>(
      (high, one) => (high === undefined || compareVersions(one.version, high.version) > 0 ? one : high),
      undefined,
    );
    if (best === undefined) return [];
    return [
      {
        source,
        installed: sourceVersion,
        offered: best.version,
        best,
        isInSecurity: newer.some(({ archive }) => archive === "security"),
        packages: group,
      },
    ];
  });
}

/** The changelog comes out of an archive of the new version: of a package that the machine has, or of a sister. */
async function newsOf(
  { source, offered, best, packages }: WaitingUpdate,
  system: SystemDescription,
  { index }: ChannelOffer,
  readChangelog: ReadChangelog,
): Promise<PackageNews> {
  const old = packages[0]!;
  const versionOf = (name: string): DescribedPackage | undefined => {
    const found = index.versions(name).find((one) => {
      const of = sourcePackage(name, one.version, one.stanza.fields.get("Source"));
      const isOurs = effectiveArchitecture(one, system.architecture) === system.architecture;
      return isOurs && of.source === source && of.sourceVersion === offered;
    });
    return found && asDescribed(found, source, offered);
  };
  const own = packages.map(({ name }) => name);
  const sisters = best.binaries.filter((name) => !own.includes(name));
  const changed = (after: DescribedPackage): PackageDifference => ({
    name: after.name,
    kind: "upgraded",
    before: old,
    after,
  });
  const candidates = [...new Set([...own, ...sisters])].flatMap((name) => versionOf(name) ?? []);
  const [first] = await packageNews(candidates.map(changed), candidates, readChangelog);
  const names = [...new Set(own)].sort(compareBytes);
  if (first) return { ...first, packages: names };
  const unknown = `no package of ${source} ${offered} is in the index`;
  const versions = { before: old.sourceVersion, after: offered };
  return { source, ...versions, direction: "brings", packages: names, entries: [], cves: [], omitted: 0, unknown };
}

function asDescribed(found: PackageVersion, source: string, sourceVersion: string): DescribedPackage {
  const { name, version, architecture, sha256, size, filename, sources } = found;
  const { suite, archive } = sources[0]!;
  return {
    ...{ name, version, architecture, source, sourceVersion, suite, archive, sha256, size, filename },
    part: "root",
    depends: [],
    reason: "wished",
  };
}

function toUpdate(
  { source, installed, offered, best, isInSecurity, packages }: WaitingUpdate,
  news: PackageNews,
): PackageUpdate {
  return {
    source,
    installed,
    offered,
    suite: best.suite,
    isSecurity: isInSecurity || news.cves.length > 0,
    packages: packages.map(({ name, version, part }) => ({ name, version, part })),
    news,
  };
}

function mostUrgentFirst(a: PackageUpdate, b: PackageUpdate): number {
  return Number(b.isSecurity) - Number(a.isSecurity) || compareBytes(a.source, b.source);
}
