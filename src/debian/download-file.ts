import type { Hash } from "node:crypto";
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { failure } from "../base/error.ts";
import type { Fetcher } from "./fetch.ts";
import { backOff, FetchFault, unreachable } from "./fetch.ts";

/** One file whose contents are known by hash before it is fetched. */
export interface FileRequest {
  /** Addresses that should all have it, best first. */
  readonly urls: readonly string[];
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
  /** Where it shall be, whole; its folder exists. */
  readonly target: string;
  /** Folder for what is not whole yet, on the same file system as `target`; exists. */
  readonly partials: string;
}

/** How a download ended: also `gone` and `mismatch`, which the caller words for a person. */
export type DownloadOutcome = "done" | "gone" | "mismatch" | "busy";

/**
 * Fetches one file: resumed from what an earlier, killed run left, hashed while it streams, never more than
 * `size` bytes, repeated on passing faults, begun anew once for each address after a wrong hash; flushed, then renamed.
 * `gained` is called with the bytes of this file that are there now.
 *
 * Processes share a cache without locks: each writes a partial of its own (`<sha256>.<pid>-<token>-<n>.part`) and
 * only *reads* those that others abandoned, so no two writers ever meet. With `waitForOthers` false, a
 * file that another process is fetching at this moment gives "busy", so that the caller can do others first.
 * @throws MesoError `mirror-unreachable`; the signal's reason.
 */
export async function downloadFile(
  request: FileRequest,
  fetcher: Fetcher,
  gained: (bytes: number) => void = () => {},
  waitForOthers = true,
): Promise<DownloadOutcome> {
  const partial = await claimPartial(request, fetcher, waitForOthers);
  if (partial === "done" || partial === "busy") return partial;
  let settled = false;
  try {
    gained(partial.length);
    const outcome = await fill(partial, request, fetcher, gained);
    if (outcome === "done") {
      await partial.handle.datasync();
      const lost = await renameUnlessLost(partial.path, request.target);
      if (lost) return await downloadFile(request, fetcher, gained, waitForOthers);
    }
    settled = true;
    return outcome;
  } finally {
    await partial.handle.close();
    // Left for the next run under the name that belongs to nobody; bytes that proved wrong are dropped.
    if (!settled) await rename(partial.path, idlePath(request)).catch(() => {});
    else await rm(partial.path, { force: true });
  }
}

/** Someone who could not see that this process lives (another container) may have taken the partial away. */
async function renameUnlessLost(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return true;
    throw error;
  }
}

interface Partial {
  readonly path: string;
  readonly handle: FileHandle;
  length: number;
  hash: Hash;
}

/** Streams until the file is whole and right, or it is certain that it will not be. */
async function fill(
  partial: Partial,
  request: FileRequest,
  fetcher: Fetcher,
  gained: (bytes: number) => void,
): Promise<"done" | "gone" | "mismatch"> {
  const { signal } = fetcher.options;
  let turn = 0;
  let faults = 0;
  let mismatches = 0;
  let furthest = partial.length;
  const gone = new Set<string>();
  const startOver = async () => {
    await truncate(partial);
    gained(0);
    turn++;
    return ++mismatches > request.urls.length;
  };
  for (;;) {
    signal?.throwIfAborted();
    if (partial.length === request.size) {
      if (partial.hash.copy().digest("hex") === request.sha256) return "done";
      if (await startOver()) return "mismatch";
    }
    const urls = request.urls.filter((url) => !gone.has(url));
    if (urls.length === 0) return "gone";
    const url = urls[turn % urls.length]!;
    try {
      const wrongSize = await stream(partial, url, request, fetcher, gained);
      if (wrongSize && (await startOver())) return "mismatch";
      if (partial.length < request.size && !wrongSize) throw new FetchFault("passing", url, "ends too early");
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof FetchFault)) throw error;
      if (error.kind === "refused") throw unreachable(error);
      if (error.kind === "gone") gone.add(url);
      if (error.kind === "range" && (await startOver())) return "mismatch";
      if (error.kind !== "passing" && error.kind !== "absent") continue;
      // A poor line that still moves is not given up; one that stands still is.
      faults = partial.length >= furthest + minimalProgress ? 0 : faults + 1;
      furthest = Math.max(furthest, partial.length);
      if (faults >= (error.kind === "absent" ? 2 * urls.length : 5)) throw unreachable(error);
      turn++;
      await backOff(fetcher, faults);
    }
  }
}

/** Bytes between two faults that count as getting on. */
const minimalProgress = 16384;

/** Appends what the server gives to the partial; true when its file cannot be the right one, by its size. */
async function stream(
  partial: Partial,
  url: string,
  request: FileRequest,
  fetcher: Fetcher,
  gained: (bytes: number) => void,
): Promise<boolean> {
  const { body, offset, size } = await fetcher.open(url, partial.length);
  try {
    if (size !== undefined && size !== request.size) return true;
    if (offset !== partial.length) await truncate(partial);
    for await (const chunk of faultsOf(body, url)) {
      if (partial.length + chunk.length > request.size) return true;
      await append(partial, chunk);
      gained(partial.length);
    }
    return false;
  } finally {
    body.destroy();
  }
}

/** Tells a broken connection from a full disk: only the former is worth another try. */
async function* faultsOf(body: AsyncIterable<Buffer>, url: string): AsyncGenerator<Buffer> {
  try {
    yield* body;
  } catch (error) {
    throw new FetchFault("passing", url, (error as Error).message || String(error));
  }
}

async function append(partial: Partial, chunk: Buffer): Promise<void> {
  try {
    for (let done = 0; done < chunk.length; ) {
      done += (await partial.handle.write(chunk, done, chunk.length - done, partial.length + done)).bytesWritten;
    }
  } catch (error) {
    throw notWritable(partial.path, error as Error);
  }
  partial.hash.update(chunk);
  partial.length += chunk.length;
}

async function truncate(partial: Partial): Promise<void> {
  await partial.handle.truncate(0);
  partial.length = 0;
  partial.hash = createHash("sha256");
}

const idlePath = (request: FileRequest) => join(request.partials, `${request.sha256}.part`);

/** A writer that has added nothing for so long has lost its network or its life. */
const abandonedAfterMilliseconds = 20_000;
const pollMilliseconds = 100;
let partialsOfThisProcess = 0;
/** In containers a killed run and the next one often have the same number. */
const processToken = randomBytes(6).toString("hex");

/** A partial of our own, holding what others left behind; or the news that another process is at it. */
async function claimPartial(
  request: FileRequest,
  fetcher: Fetcher,
  waitForOthers: boolean,
): Promise<Partial | "done" | "busy"> {
  for (;;) {
    fetcher.options.signal?.throwIfAborted();
    if (await isWhole(request)) return "done";
    const others = await otherPartials(request);
    const partial = others.some((other) => other.busy) ? undefined : await begin(request);
    if (partial) {
      await adopt(partial, others, request.size);
      return partial;
    }
    if (!waitForOthers) return "busy";
    await new Promise((resolve) => setTimeout(resolve, pollMilliseconds));
  }
}

/** A finished file is trusted by its size; its contents are verified when it is imported. */
export async function isWhole(request: { readonly target: string; readonly size: number }): Promise<boolean> {
  const status = await stat(request.target).catch(() => undefined);
  return status?.isFile() === true && status.size === request.size;
}

interface OtherPartial {
  readonly path: string;
  readonly size: number;
  /** A living process is writing it. */
  readonly busy: boolean;
}

async function otherPartials(request: FileRequest): Promise<OtherPartial[]> {
  const names = (await readdir(request.partials)).filter(
    (name) => name.startsWith(request.sha256) && name.endsWith(".part"),
  );
  const found = await Promise.all(
    names.sort().map(async (name) => {
      const path = join(request.partials, name);
      const status = await stat(path).catch(() => undefined);
      if (!status) return [];
      const owner = /\.(\d+)-([0-9a-f]+)-\d+\.part$/.exec(name);
      const fresh = Date.now() - status.mtimeMs < abandonedAfterMilliseconds;
      return [{ path, size: status.size, busy: owner !== null && fresh && isAlive(Number(owner[1]), owner[2]!) }];
    }),
  );
  return found.flat().sort((a, b) => b.size - a.size);
}

function isAlive(pid: number, token: string): boolean {
  if (pid === process.pid) return token === processToken;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/**
 * An empty partial of our own; undefined when another process began at the same moment and goes first, which
 * both see by the order of the names.
 */
async function begin(request: FileRequest): Promise<Partial | undefined> {
  const name = `${request.sha256}.${process.pid}-${processToken}-${partialsOfThisProcess++}.part`;
  const path = join(request.partials, name);
  const handle = await open(path, "wx").catch((error: Error) => {
    throw notWritable(path, error);
  });
  const rivals = (await otherPartials(request)).filter((other) => other.busy && other.path !== path);
  if (!rivals.some((rival) => rival.path < path)) return { path, handle, length: 0, hash: createHash("sha256") };
  await handle.close();
  await rm(path, { force: true });
  return undefined;
}

/** Copies the longest abandoned partial rather than renaming it: its owner may be alive after all, elsewhere. */
async function adopt(partial: Partial, abandoned: readonly OtherPartial[], limit: number): Promise<void> {
  try {
    if (abandoned[0]) await copyInto(partial, abandoned[0].path, limit);
    for (const { path } of abandoned) await rm(path, { force: true });
  } catch (error) {
    await partial.handle.close();
    await rm(partial.path, { force: true });
    throw error;
  }
}

function notWritable(path: string, error: Error) {
  return failure("cache-not-writable", `${path} cannot be written: ${error.message}`, {
    hint: "make room, or give this user the right to write to the cache",
  });
}

async function copyInto(partial: Partial, source: string, limit: number): Promise<void> {
  try {
    for await (const chunk of createReadStream(source, { highWaterMark: 1 << 18 }) as AsyncIterable<Buffer>) {
      if (partial.length + chunk.length > limit) return await truncate(partial);
      await append(partial, chunk);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    await truncate(partial);
  }
}
