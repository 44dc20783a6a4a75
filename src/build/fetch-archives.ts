import { MesoError } from "../base/error.ts";
import { formatBytes } from "../base/progress.ts";
import type { ResolvedPackage } from "../debian/resolve.ts";
import type { SegmentTable } from "../store/segment.ts";
import { downloadOptions } from "./channel.ts";
import { isFetched } from "./prepare.ts";
import { type BuildSession, stage } from "./session.ts";

/** What of a package is needed to fetch and import its archive. */
export type FetchableArchive = Pick<
  ResolvedPackage,
  "name" | "version" | "architecture" | "sha256" | "size" | "archive" | "filename"
>;

/** What would have to be fetched and imported for a set of packages. */
export interface FetchPlan<T extends FetchableArchive> {
  readonly fetch: readonly T[];
  readonly import: readonly T[];
}

export function planFetch<T extends FetchableArchive>(session: BuildSession, packages: readonly T[]): FetchPlan<T> {
  const once = [...new Map(packages.map((one) => [one.sha256, one])).values()];
  return {
    fetch: once.filter((one) => !isFetched(session, one)),
    import: once.filter((one) => !session.store.hasSegment(one.sha256)),
  };
}

export interface FetchOptions {
  /** Those of the packages that archives can be unpacked with; this host's own xz does otherwise. */
  readonly unpackPackages?: readonly FetchableArchive[];
  /** Sets of the packages to import before the others, in this order. */
  readonly first?: readonly FirstPackages[];
}

/** Packages, and what to do with their segments while others are still being imported. */
export interface FirstPackages {
  readonly packages: readonly FetchableArchive[];
  readonly done: () => void;
}

/** The segments of the packages by archive hash: fetched and imported where they are not in the store yet. */
export async function fetchSegments(
  session: BuildSession,
  packages: readonly FetchableArchive[],
  options: FetchOptions = {},
): Promise<ReadonlyMap<string, SegmentTable>> {
  const once = [...new Map(packages.map((one) => [one.sha256, one])).values()];
  for (let attempt = 1; ; attempt++) {
    try {
      const tables = await presentSegments(session, once, options);
      if (tables) return tables;
    } catch (error) {
      // An archive that the disk has spoiled was removed by who found it out: fetching it anew heals the store.
      const isSpoiled = error instanceof MesoError && error.problems.every(({ code }) => code === "hash-mismatch");
      if (!isSpoiled || attempt > 1) throw error;
    }
  }
}

/** Undefined when a segment turned out damaged: it was removed, and is made again the next time. */
async function presentSegments(
  session: BuildSession,
  packages: readonly FetchableArchive[],
  options: FetchOptions = {},
): Promise<ReadonlyMap<string, SegmentTable> | undefined> {
  const plan = planFetch(session, packages);
  if (plan.fetch.length > 0) await fetch(session, plan.fetch);
  const tables =
    plan.import.length > 0
      ? await importMissing(session, packages, plan.import, options)
      : packages.map((one) => session.store.findSegment(one.sha256));
  if (tables.some((table) => table === undefined)) return undefined;
  return new Map(packages.map((one, i) => [one.sha256, tables[i]!]));
}

async function fetch(session: BuildSession, missing: readonly FetchableArchive[]): Promise<void> {
  const { downloadAll } = await import("../debian/download.ts");
  const requests = missing.map(({ archive, filename, sha256, size }) => ({ archive, path: filename, sha256, size }));
  const bytes = sizeOf(missing);
  await stage(
    session,
    "fetch",
    () =>
      downloadAll(requests, {
        ...downloadOptions(session),
        progress: (now) =>
          session.report({
            stage: "fetch",
            text: `${now.files} of ${now.totalFiles} archives, ${formatBytes(now.bytes)} of ${formatBytes(now.totalBytes)}`,
            share: now.bytes / Math.max(1, now.totalBytes),
          }),
      }),
    () => `${missing.length} archives, ${formatBytes(bytes)}`,
  );
}

async function importMissing(
  session: BuildSession,
  packages: readonly FetchableArchive[],
  missing: readonly FetchableArchive[],
  { unpackPackages = [], first = [] }: FetchOptions,
): Promise<SegmentTable[]> {
  const { importAll } = await import("../debian/import-all.ts");
  const { channelXz } = await import("./channel-xz.ts");
  const isWorthIt = unpackPackages.length > 0 && sizeOf(missing) > 2 * sizeOf(unpackPackages);
  let archives = 0;
  let entries = 0;
  return stage(
    session,
    "import",
    () =>
      importAll(
        session.store,
        packages.map(({ name, version, architecture, sha256, size }) => ({
          file: session.store.archivePath(sha256),
          name: `${name}_${version}_${architecture}.deb`,
          sha256,
          size,
        })),
        {
          signal: session.signal,
          ...(isWorthIt && {
            unpacker: { archives: digestsOf(unpackPackages), command: () => channelXz(session, unpackPackages) },
          }),
          first: first.map(({ packages: set, done }) => ({ archives: digestsOf(set), done })),
          onProgress: (now) => {
            archives = now.archivesTotal;
            entries = now.entries;
            session.report({
              stage: "import",
              text: `${now.archivesDone} of ${now.archivesTotal} archives, ${now.entries} files`,
              share: now.bytesDone / Math.max(1, now.bytesTotal),
            });
          },
        },
      ),
    (tables) => {
      const imported = digestsOf(missing);
      const bytes = tables.reduce((sum, { id, dataBytes }) => sum + (imported.has(id) ? dataBytes : 0), 0);
      return `${archives} archives, ${entries} files, ${formatBytes(bytes)}`;
    },
  );
}

function digestsOf(packages: readonly FetchableArchive[]): ReadonlySet<string> {
  return new Set(packages.map(({ sha256 }) => sha256));
}

function sizeOf(packages: readonly FetchableArchive[]): number {
  return packages.reduce((sum, { size }) => sum + size, 0);
}
