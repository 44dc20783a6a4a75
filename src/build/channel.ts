import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { canonicalJson } from "../base/canonical.ts";
import { MesoError } from "../base/error.ts";
import { onceForEach } from "../base/once-for-each.ts";
import { formatBytes } from "../base/progress.ts";
import { channelIdentity, type LockedSuite, readLock, withSuites, writeLock } from "../debian/channel-lock.ts";
import { type ChannelRequest, ensureIndices, readIndex } from "../debian/indices.ts";
import { type Mirrors, readMirrors } from "../debian/mirror.ts";
import type { PackageIndex } from "../debian/package-index.ts";
import type { PackagesText } from "../debian/package-index-writer.ts";
import type { Resolution, ResolveRequest } from "../debian/resolve.ts";
import { addLockRoot } from "../store/roots.ts";
import { type BuildSession, stage } from "./session.ts";
import { sourceDigest } from "./source-digest.ts";

// Modules that most runs do not need are imported where they are: in a run where nothing changed, reading modules is
// most of the work.

/** A channel whose indices are pinned and at hand. */
export interface OpenChannel {
  /** Hash of the pinned indices: what any choice of packages depends on. */
  readonly identity: string;
  readonly suites: readonly LockedSuite[];
  /** The packages; read from disk the first time. */
  readonly index: () => Promise<PackageIndex>;
  /** The closed set for a request; remembered in the store. */
  readonly resolve: (request: ResolveRequest) => Promise<Resolution>;
}

/**
 * Opens the channel as the lock pins it, without network where the cache is warm. A channel that the lock says
 * nothing of is pulled and locked first.
 */
export async function openChannel(session: BuildSession, request: ChannelRequest): Promise<OpenChannel> {
  return openSuites(session, await pinnedSuites(session, request));
}

/** Opens suites whose indices are in the cache. */
export function openSuites(session: BuildSession, suites: readonly LockedSuite[]): OpenChannel {
  const identity = channelIdentity(suites);
  let opened: Promise<PackageIndex> | undefined;
  const index = (): Promise<PackageIndex> => {
    opened ??= openIndex(session, identity, suites);
    return opened;
  };
  return {
    identity,
    suites,
    index,
    resolve: onceForEach((wanted) =>
      session.store.cached(`resolution ${sourceDigest()} ${identity} ${canonicalJson(wanted)}`, async () => {
        const { resolve } = await import("../debian/resolve.ts");
        return resolve(await index(), wanted);
      }),
    ),
  };
}

/** Takes in what the mirror offers now and writes it into the lock; the other suites of the lock stay. */
export async function pull(session: BuildSession, request: ChannelRequest): Promise<readonly LockedSuite[]> {
  const suites = await offeredSuites(session, request);
  writeLock(session.lockFile, withSuites(readLock(session.lockFile), suites));
  return suites;
}

/** What the mirror offers now, with its indices in the cache; the lock stays as it is. */
export async function offeredSuites(session: BuildSession, request: ChannelRequest): Promise<readonly LockedSuite[]> {
  const { pullChannel } = await import("../debian/pull.ts");
  const previous = readLock(session.lockFile);
  return stage(
    session,
    "pull",
    () =>
      pullChannel(request, {
        ...downloadOptions(session),
        now: new Date(),
        ...(previous ? { previous: previous.suites } : {}),
      }),
    (pulled) => `${pulled.map((suite) => `${suite.suite} of ${suite.date.slice(0, 10)}`).join(", ")}`,
  );
}

/** Where to fetch from and where to keep it; the mirrors are looked up only when something must be fetched. */
export function downloadOptions(session: BuildSession): {
  mirrors: Mirrors;
  cacheDirectory: string;
  signal: AbortSignal;
} {
  let mirrors: Mirrors | undefined;
  return {
    get mirrors() {
      mirrors ??= readMirrors();
      return mirrors;
    },
    cacheDirectory: session.store.directory,
    signal: session.signal,
  };
}

/** The suites of a request as the lock pins them, their indices in the cache; pulled and locked where it does not. */
export async function pinnedSuites(session: BuildSession, request: ChannelRequest): Promise<readonly LockedSuite[]> {
  // A collection keeps what a lock pins, of the locks that it knows.
  addLockRoot(session.store, session.lockFile);
  try {
    return await ensureIndices(readLock(session.lockFile), request, downloadOptions(session));
  } catch (error) {
    if (!(error instanceof MesoError) || error.code !== "not-locked") throw error;
  }
  session.report({
    stage: "pull",
    text: `${basename(session.lockFile)} says nothing of ${request.suite} yet: pulling it`,
  });
  await pull(session, unionWithLocked(session, request));
  return ensureIndices(readLock(session.lockFile), request, downloadOptions(session));
}

/** A pull replaces a suite's entry: what the lock holds of it for other architectures must stay in. */
function unionWithLocked(session: BuildSession, request: ChannelRequest): ChannelRequest {
  const locked = readLock(session.lockFile)?.suites.find((suite) => suite.suite === request.suite);
  const indices = (locked?.indices ?? []).filter((index) => index.architecture !== "all");
  return {
    ...request,
    components: [...new Set([...request.components, ...indices.map((index) => index.component)])],
    architectures: [...new Set([...request.architectures, ...indices.map((index) => index.architecture)])],
  };
}

/** Raised whenever the index file's format or the way it is filled changes. */
const indexFormat = 1;

async function openIndex(
  session: BuildSession,
  identity: string,
  suites: readonly LockedSuite[],
): Promise<PackageIndex> {
  const folder = join(session.store.directory, "cache", "package-indices");
  const file = join(folder, `${identity}.${indexFormat}`);
  const kept = await openKept(file);
  if (kept) return kept;
  mkdirSync(folder, { recursive: true });
  const lock = await session.store.lock(`package-index-${identity}`);
  try {
    const made = await openKept(file);
    if (made) return made;
    for (const name of readdirSync(folder)) {
      // What a killed process left: only who holds the lock writes here.
      if (name.startsWith(`${basename(file)}.`)) rmSync(join(folder, name), { force: true });
    }
    return await buildIndex(session, file, suites);
  } finally {
    lock.release();
  }
}

/** The index that an earlier run made; a damaged one is removed, to be made again. */
async function openKept(file: string): Promise<PackageIndex | undefined> {
  if (!existsSync(file)) return undefined;
  const { openPackageIndex } = await import("../debian/package-index.ts");
  try {
    return openPackageIndex(file);
  } catch (error) {
    if (!(error instanceof MesoError)) throw error;
    rmSync(file, { force: true });
    return undefined;
  }
}

async function buildIndex(session: BuildSession, file: string, suites: readonly LockedSuite[]): Promise<PackageIndex> {
  const { openPackageIndex } = await import("../debian/package-index.ts");
  const { writePackageIndex } = await import("../debian/package-index-writer.ts");
  const bytes = suites.flatMap((suite) => suite.indices).reduce((sum, index) => sum + index.text.size, 0);
  session.report({ stage: "index", text: `reading ${formatBytes(bytes)} of package descriptions` });
  await stage(
    session,
    "index",
    () => writePackageIndex(file, packagesTexts(suites, session.store.directory)),
    () => `${formatBytes(bytes)} of package descriptions indexed`,
  );
  return openPackageIndex(file);
}

/** The package descriptions of suites, one index after the other. */
export async function* packagesTexts(
  suites: readonly LockedSuite[],
  cacheDirectory: string,
): AsyncGenerator<PackagesText> {
  for (const { archive, suite, indices } of suites) {
    for (const index of indices) {
      if (index.architecture === "source") continue;
      const text = await readIndex(index, cacheDirectory);
      yield { text, archive, suite, component: index.component, architecture: index.architecture };
    }
  }
}
