import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Problem } from "../base/error.ts";
import { failure, MesoError } from "../base/error.ts";
import type { DownloadOutcome, FileRequest } from "./download-file.ts";
import { downloadFile, isWhole } from "./download-file.ts";
import type { FetchOptions } from "./fetch.ts";
import { createFetcher, mirrorUrl } from "./fetch.ts";
import type { Archive, Mirrors } from "./mirror.ts";

/** An archive file (`.deb`) as an index states it. */
export interface ArchiveRequest {
  readonly archive: Archive;
  /** Relative to the base of the archive: `pool/main/b/bash/bash_5.2.37-2_amd64.deb`. */
  readonly path: string;
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

export interface DownloadProgress {
  readonly files: number;
  readonly totalFiles: number;
  /** Bytes that are here now, also those an earlier run left. */
  readonly bytes: number;
  readonly totalBytes: number;
}

export interface DownloadOptions extends Omit<FetchOptions, "proxy"> {
  readonly mirrors: Mirrors;
  readonly cacheDirectory: string;
  readonly progress?: (progress: DownloadProgress) => void;
}

/** What a download would do; for `--dry-run`. */
export interface DownloadPlan {
  /** Not in the cache; each file once. */
  readonly missing: readonly ArchiveRequest[];
  /** Of `missing`. */
  readonly bytes: number;
  readonly presentFiles: number;
}

/** Where an archive lies in the cache, whether it is there or not. */
export function archiveFile(cacheDirectory: string, sha256: string): string {
  return join(cacheDirectory, "archives", `${sha256}.deb`);
}

/** Which of the archives are not in the cache yet. Reads no network and writes nothing. */
export async function planDownloads(
  requests: readonly ArchiveRequest[],
  cacheDirectory: string,
): Promise<DownloadPlan> {
  const once = [...new Map(requests.map((request) => [request.sha256, request])).values()];
  const present = await Promise.all(
    once.map(({ sha256, size }) => isWhole({ target: archiveFile(cacheDirectory, sha256), size })),
  );
  const missing = once.filter((_, i) => !present[i]);
  return {
    missing,
    bytes: missing.reduce((sum, request) => sum + request.size, 0),
    presentFiles: once.length - missing.length,
  };
}

/**
 * Brings all archives into the cache (`archives/<sha256>.deb`), several at a time, each verified by its hash
 * while it arrives. Can be killed and run again at any moment; several processes may fill one cache.
 * Files that the mirror lacks or falsifies do not stop the others and are reported together.
 * @throws MesoError `archive-gone`, `hash-mismatch`, `mirror-unreachable`, `hostile-path`; the signal's reason.
 */
export async function downloadAll(requests: readonly ArchiveRequest[], options: DownloadOptions): Promise<void> {
  const plan = await planDownloads(requests, options.cacheDirectory);
  if (plan.missing.length === 0) return;
  const partials = join(options.cacheDirectory, "partial");
  await mkdir(join(options.cacheDirectory, "archives"), { recursive: true });
  await mkdir(partials, { recursive: true });
  const files = plan.missing.map((request) => fileRequest(request, options, partials));
  const outcomes = await downloadFiles(files, options);
  const problems = plan.missing.flatMap((request, i) => problemOf(request, outcomes[i]!));
  if (problems.length > 0) throw new MesoError(problems);
}

/** Fetches all files with as many workers as connections; the first fault without remedy stops all of them. */
export async function downloadFiles(
  files: readonly FileRequest[],
  options: DownloadOptions,
): Promise<readonly DownloadOutcome[]> {
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  const fetcher = createFetcher({ ...options, proxy: options.mirrors.proxy, signal });
  const outcomes = new Array<DownloadOutcome>(files.length);
  const count = progressCounter(files, options.progress);
  const queue = [...files.keys()];
  // What another process is fetching comes last: by then it is most likely there.
  const postponed = new Set<number>();
  const worker = async () => {
    for (let index = queue.shift(); index !== undefined; index = queue.shift()) {
      signal.throwIfAborted();
      const outcome = await downloadFile(files[index]!, fetcher, count.gained(index), postponed.has(index));
      if (outcome === "busy") {
        postponed.add(index);
        queue.push(index);
        continue;
      }
      outcomes[index] = outcome;
      if (outcome === "done") count.finished(index);
    }
  };
  let firstFault: unknown;
  const workers = Array.from({ length: Math.min(options.connections ?? 8, files.length) }, () =>
    worker().catch((error: unknown) => {
      firstFault ??= error;
      stop.abort();
    }),
  );
  await Promise.all(workers);
  fetcher.close();
  options.signal?.throwIfAborted();
  if (firstFault !== undefined) throw firstFault;
  return outcomes;
}

/**
 * Whether the archive in the cache has the contents that its name promises. One that has not is removed, so
 * that the next download brings it anew.
 */
export async function verifyArchive(cacheDirectory: string, sha256: string): Promise<boolean> {
  const file = archiveFile(cacheDirectory, sha256);
  const hash = createHash("sha256");
  try {
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 18 })) hash.update(chunk as Buffer);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
  if (hash.digest("hex") === sha256) return true;
  await rm(file, { force: true });
  return false;
}

function fileRequest(request: ArchiveRequest, options: DownloadOptions, partials: string): FileRequest {
  const bases = options.mirrors[request.archive];
  if (bases.length === 0) throw noSecurityMirror();
  return {
    urls: bases.map((base) => mirrorUrl(base, request.path)),
    sha256: request.sha256,
    size: request.size,
    target: archiveFile(options.cacheDirectory, request.sha256),
    partials,
  };
}

/** No mirror of the security archive is configured, and none follows from the main one's address. */
export function noSecurityMirror() {
  return failure("no-security-mirror", "no mirror of the security archive is known on this machine", {
    hint: "say where to fetch from: MESO_DEBIAN_SECURITY_MIRROR=http://…/debian-security, or leave security updates out",
  });
}

function progressCounter(files: readonly FileRequest[], report: DownloadOptions["progress"]) {
  const here = files.map(() => 0);
  const totalBytes = files.reduce((sum, file) => sum + file.size, 0);
  let bytes = 0;
  let done = 0;
  const set = (index: number, value: number) => {
    bytes += value - here[index]!;
    here[index] = value;
    report?.({ files: done, totalFiles: files.length, bytes, totalBytes });
  };
  return {
    gained: (index: number) => (value: number) => set(index, value),
    finished: (index: number) => {
      done++;
      set(index, files[index]!.size);
    },
  };
}

function problemOf(request: ArchiveRequest, outcome: DownloadOutcome): Problem[] {
  if (outcome === "done") return [];
  if (outcome === "gone") {
    return [
      {
        code: "archive-gone",
        what: `the mirror no longer has ${request.path}`,
        hint: "the lock is older than the mirror: make it anew with `meso pull`, or name a mirror that keeps old versions in MESO_DEBIAN_MIRROR",
      },
    ];
  }
  return [
    {
      code: "hash-mismatch",
      what: `the mirror serves ${request.path} with other contents than its signed index says`,
      expected: `${request.size} bytes with SHA-256 ${request.sha256}`,
      hint: "the mirror or a proxy on the way is damaged: try another one through MESO_DEBIAN_MIRROR",
    },
  ];
}
