import { failure } from "../base/error.ts";
import type { LockedSuite } from "./channel-lock.ts";
import type { DownloadOptions } from "./download.ts";
import { noSecurityMirror } from "./download.ts";
import type { Fetcher } from "./fetch.ts";
import { createFetcher, FetchFault, fetchWhole, mirrorUrl, unreachable } from "./fetch.ts";
import type { ChannelRequest } from "./indices.ts";
import { fetchIndices, selectIndices, suitesOf } from "./indices.ts";
import type { Archive } from "./mirror.ts";
import type { VerifiedRelease } from "./release-signature.ts";
import { verifyInRelease } from "./release-signature.ts";

export interface PullEnvironment extends DownloadOptions {
  /** The time that signatures and expiry are judged at. */
  readonly now: Date;
  /** For archives kept as of some day in the past. */
  readonly acceptExpired?: boolean;
  /** Suites of an earlier pull: a mirror that answers with older ones is refused. */
  readonly previous?: readonly LockedSuite[];
}

/**
 * What the mirror's suites are at this moment, verified, as entries for the lock; their indices are in the
 * cache afterwards.
 * @throws MesoError `unknown-suite`, `older-index`, and those of verifying, selecting and fetching.
 */
export async function pullChannel(request: ChannelRequest, environment: PullEnvironment): Promise<LockedSuite[]> {
  checkNames(request);
  const { mirrors } = environment;
  const fetcher = createFetcher({ ...environment, proxy: mirrors.proxy });
  try {
    const pulls = await Promise.allSettled(
      suitesOf(request).map(({ suite, archive }) => pullSuite(suite, archive, request, environment, fetcher)),
    );
    // Of a misspelt suite all fail: the one that was asked for comes first, and is the one to tell.
    const suites = pulls.map((one) => {
      if (one.status === "rejected") throw one.reason;
      return one.value;
    });
    await fetchIndices(suites, environment);
    return suites;
  } finally {
    fetcher.close();
  }
}

async function pullSuite(
  suite: string,
  archive: Archive,
  request: ChannelRequest,
  environment: PullEnvironment,
  fetcher: Fetcher,
): Promise<LockedSuite> {
  const { mirrors } = environment;
  if (mirrors[archive].length === 0) throw noSecurityMirror();
  const text = await fetchInRelease(suite, mirrors[archive], fetcher);
  const release = await verifyInRelease(text, mirrors.keyrings, { ...environment, suite });
  checkNotOlder(suite, release, environment.previous);
  return {
    archive,
    suite,
    codename: release.codename,
    date: release.date.toISOString(),
    release: release.sha256,
    byHash: release.acquireByHash,
    indices: selectIndices(release, request),
  };
}

/** Bytes; the largest of Debian's has a fifth of a million. */
const largestInRelease = 16_000_000;

async function fetchInRelease(suite: string, bases: readonly string[], fetcher: Fetcher): Promise<string> {
  const urls = bases.map((base) => mirrorUrl(base, `dists/${suite}/InRelease`));
  try {
    return (await fetchWhole(fetcher, urls, largestInRelease)).toString("utf8");
  } catch (error) {
    if (!(error instanceof FetchFault)) throw error;
    if (error.kind !== "gone") throw unreachable(error);
    throw failure("unknown-suite", `the mirror has no suite "${suite}": ${error.message}`, {
      field: "suite",
      expected: "the name of a Debian suite: trixie, bookworm, sid",
      hint: "check the name, and that the mirror carries it (MESO_DEBIAN_MIRROR, MESO_DEBIAN_SECURITY_MIRROR)",
    });
  }
}

/** A mirror may hold an old, rightly signed state back to keep known holes open; most suites never expire. */
function checkNotOlder(suite: string, release: VerifiedRelease, previous: readonly LockedSuite[] | undefined): void {
  const before = previous?.find((entry) => entry.suite === suite && entry.codename === release.codename);
  if (!before || release.date.toISOString() >= before.date) return;
  throw failure("older-index", `the mirror offers ${suite} of ${release.date.toISOString()}`, {
    expected: `none older than the lock's, ${before.date}`,
    hint: "the mirror lags behind: wait or try another one; to go back on purpose, take an older lock from version control",
  });
}

function checkNames(request: ChannelRequest): void {
  const names = [
    ["suite", [request.suite]],
    ["components", request.components],
    ["architectures", request.architectures],
  ] as const;
  for (const [field, values] of names) {
    const wrong = values.find((value) => !/^[A-Za-z0-9][A-Za-z0-9.+-]{0,63}$/.test(value));
    if (wrong === undefined && values.length > 0) continue;
    throw failure("bad-channel", wrong === undefined ? "nothing is asked for" : `"${wrong}" is not a name`, {
      field,
      expected: "names as trixie, main, amd64",
    });
  }
}
