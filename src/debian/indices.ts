import { spawn } from "node:child_process";
import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { failure, MesoError } from "../base/error.ts";
import { sha256 } from "../base/hash.ts";
import { sortedBy } from "../base/order.ts";
import { ownerTag, sweepAbandoned } from "../store/owner.ts";
import type { ChannelLock, LockedIndex, LockedSuite } from "./channel-lock.ts";
import type { DownloadOptions } from "./download.ts";
import { downloadFiles, noSecurityMirror } from "./download.ts";
import type { FileRequest } from "./download-file.ts";
import { mirrorUrl } from "./fetch.ts";
import type { Archive } from "./mirror.ts";
import type { Release } from "./release.ts";

/** Which part of Debian a system is made from. */
export interface ChannelRequest {
  /** By any name the archive knows: `trixie`, `stable`, `sid`. */
  readonly suite: string;
  readonly components: readonly string[];
  /** `source` asks for the index of source packages. */
  readonly architectures: readonly string[];
  /** Also `<suite>-updates`, where the suite has one. */
  readonly updates: boolean;
  /** Also `<suite>-security`, where the suite has one. */
  readonly security: boolean;
}

/** The suites that a request means, with the archive that each is in. */
export function suitesOf(request: ChannelRequest): { readonly suite: string; readonly archive: Archive }[] {
  const archive = request.suite.endsWith("-security") ? "security" : "main";
  const own = { suite: request.suite, archive } as const;
  const derived = /-(updates|security|backports|backports-sloppy|proposed-updates)$/.test(request.suite);
  if (derived || ["sid", "unstable", "experimental", "rc-buggy"].includes(request.suite)) return [own];
  return [
    own,
    ...(request.updates ? [{ suite: `${request.suite}-updates`, archive: "main" as const }] : []),
    ...(request.security ? [{ suite: `${request.suite}-security`, archive: "security" as const }] : []),
  ];
}

/**
 * The package indices of a release that a request needs.
 * @throws MesoError `unknown-component`, `unknown-architecture`, `malformed-release`.
 */
export function selectIndices(release: Release, request: ChannelRequest): LockedIndex[] {
  const indices = request.components.flatMap((component) => {
    if (!release.components.includes(component)) {
      throw failure("unknown-component", `${release.codename} has no component "${component}"`, {
        field: "components",
        expected: release.components.join(", "),
      });
    }
    const apart = release.architectures.includes("all") && !release.allInEachIndex;
    const architectures = [...request.architectures, ...(apart ? ["all"] : [])];
    return architectures.map((architecture) => selectIndex(release, component, architecture));
  });
  return sortedBy(indices, (index) => `${index.component} ${index.architecture}`);
}

/**
 * The locked suites of a request, narrowed to its components and architectures, with all their indices in
 * the cache; no network is used when they are there already.
 * @throws MesoError `not-locked`, `index-gone`, `hash-mismatch`, `mirror-unreachable`.
 */
export async function ensureIndices(
  lock: ChannelLock | undefined,
  request: ChannelRequest,
  options: DownloadOptions,
): Promise<LockedSuite[]> {
  const suites = suitesOf(request).map(({ suite }) => narrow(lock, suite, request));
  await fetchIndices(suites, options);
  return suites;
}

/** Brings the indices of these suites into the cache, in both forms: as fetched, and as text. */
export async function fetchIndices(suites: readonly LockedSuite[], options: DownloadOptions): Promise<void> {
  const { cacheDirectory } = options;
  const wanted = suites.flatMap((suite) => suite.indices.map((index) => ({ suite, index })));
  const present = await Promise.all(wanted.map(({ index }) => hasText(cacheDirectory, index)));
  const missing = wanted.filter((_, i) => !present[i]);
  if (missing.length === 0) return;
  const partials = join(cacheDirectory, "partial");
  await mkdir(join(cacheDirectory, "indices"), { recursive: true });
  await mkdir(partials, { recursive: true });
  const files = missing.map(({ suite, index }) => fileRequest(suite, index, options, partials));
  const outcomes = await downloadFiles(files, options);
  missing.forEach(({ suite, index }, i) => {
    if (outcomes[i] === "gone" || (outcomes[i] === "mismatch" && !suite.byHash)) throw indexGone(suite, index);
    if (outcomes[i] === "mismatch") throw indexMismatch(suite, index);
  });
  for (const { index } of missing) await expand(cacheDirectory, index);
}

/**
 * The text of an index that is in the cache, verified. What the disk has spoiled is made anew from the
 * fetched form, or removed so that the next `ensureIndices` fetches it.
 * @throws MesoError `index-damaged`.
 */
export async function readIndex(index: LockedIndex, cacheDirectory: string): Promise<Buffer> {
  const text = await readFile(indexTextFile(index, cacheDirectory)).catch(() => undefined);
  if (text && sha256(text) === index.text.sha256) return text;
  return expand(cacheDirectory, index);
}

/** Where the text of an index lies in the cache. */
export function indexTextFile(index: LockedIndex, cacheDirectory: string): string {
  return join(cacheDirectory, "indices", `${index.text.sha256}.txt`);
}

/** Bytes; above this, a string of the text would not fit into the engine, and no archive comes near. */
const largestText = 400_000_000;

function selectIndex(release: Release, component: string, architecture: string): LockedIndex {
  const plain =
    architecture === "source" ? `${component}/source/Sources` : `${component}/binary-${architecture}/Packages`;
  const text = release.files.get(plain);
  const path = [`${plain}.xz`, `${plain}.gz`, plain].find((candidate) => release.files.has(candidate));
  if (!text || !path) {
    throw failure("unknown-architecture", `${release.codename} has no packages for "${architecture}" in ${component}`, {
      field: "architectures",
      expected: release.architectures.filter((name) => name !== "all").join(", "),
    });
  }
  if (text.size > largestText) {
    throw failure("malformed-release", `the index ${plain} of ${release.codename} claims to have ${text.size} bytes`);
  }
  const file = release.files.get(path)!;
  return { component, architecture, path, sha256: file.sha256, size: file.size, text };
}

function narrow(lock: ChannelLock | undefined, name: string, request: ChannelRequest): LockedSuite {
  const suite = lock?.suites.find((candidate) => candidate.suite === name);
  const wanted = new Set([...request.architectures, "all"]);
  const indices = (suite?.indices ?? []).filter(
    (index) => request.components.includes(index.component) && wanted.has(index.architecture),
  );
  const lacking = request.components.flatMap((component) =>
    request.architectures
      .filter((architecture) => !indices.some((i) => i.component === component && i.architecture === architecture))
      .map((architecture) => `${component}/${architecture}`),
  );
  if (suite && lacking.length === 0) return { ...suite, indices };
  throw failure("not-locked", `the lock says nothing of ${name}${suite ? ` for ${lacking.join(", ")}` : ""}`, {
    hint: "take it in with `meso pull`",
  });
}

function fileRequest(suite: LockedSuite, index: LockedIndex, options: DownloadOptions, partials: string): FileRequest {
  const bases = options.mirrors[suite.archive];
  if (bases.length === 0) throw noSecurityMirror();
  const folder = index.path.slice(0, index.path.lastIndexOf("/"));
  const path = suite.byHash ? `${folder}/by-hash/SHA256/${index.sha256}` : index.path;
  return {
    urls: bases.map((base) => mirrorUrl(base, `dists/${suite.suite}/${path}`)),
    sha256: index.sha256,
    size: index.size,
    target: compressedFile(index, options.cacheDirectory),
    partials,
  };
}

const compressedFile = (index: LockedIndex, cacheDirectory: string) => join(cacheDirectory, "indices", index.sha256);

async function hasText(cacheDirectory: string, index: LockedIndex): Promise<boolean> {
  const status = await stat(indexTextFile(index, cacheDirectory)).catch(() => undefined);
  return status?.size === index.text.size;
}

/** Writes the text beside the fetched form and gives it. */
async function expand(cacheDirectory: string, index: LockedIndex): Promise<Buffer> {
  const source = compressedFile(index, cacheDirectory);
  const target = indexTextFile(index, cacheDirectory);
  try {
    const fetched = await readFile(source);
    if (sha256(fetched) !== index.sha256) throw new Error("its contents have changed on disk");
    const text = await decompress(index.path, source, fetched, index.text.size);
    if (sha256(text) !== index.text.sha256) throw new Error("its text is not what the archive signed");
    sweepAbandoned(dirname(target), `${basename(target)}.`);
    const aside = `${target}.${ownerTag()}.${expansions++}`;
    await writeFile(aside, text, { flush: true });
    await rename(aside, target);
    return text;
  } catch (error) {
    if (error instanceof MesoError) throw error;
    await Promise.all([source, target].map((file) => rm(file, { force: true })));
    throw failure("index-damaged", `the index ${index.path} in the cache cannot be used: ${(error as Error).message}`, {
      hint: "it has been removed; run the command again to fetch it anew",
    });
  }
}

let expansions = 0;

/** Never more than `size` bytes: a compressed index may be a bomb. */
async function decompress(path: string, file: string, fetched: Buffer, size: number): Promise<Buffer> {
  if (path.endsWith(".xz")) return runXz(file, size);
  if (path.endsWith(".gz")) return promisify(gunzip)(fetched, { maxOutputLength: Math.max(size, 1) });
  return fetched;
}

/** Node has no xz decoder; xz-utils is on every machine that has dpkg. */
function runXz(file: string, size: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = spawn("xz", ["--decompress", "--stdout", "--format=xz", "--", file], {
      stdio: ["ignore", "pipe", "pipe"],
      // XZ_OPT must not reach it, and its messages shall be in one language.
      env: { PATH: process.env.PATH ?? "/usr/bin:/bin", LC_ALL: "C" },
    });
    const text = Buffer.allocUnsafe(size);
    let length = 0;
    let message = "";
    child.stdout.on("data", (chunk: Buffer) => {
      if (length + chunk.length > size) {
        length = Number.POSITIVE_INFINITY;
        child.kill();
        return;
      }
      chunk.copy(text, length);
      length += chunk.length;
    });
    child.stderr.on("data", (chunk: Buffer) => {
      message = (message + chunk.toString()).slice(0, 500);
    });
    child.on("error", (error) =>
      reject(failure("no-xz", `xz cannot be run: ${error.message}`, { hint: "install the package xz-utils" })),
    );
    child.on("close", (code) => {
      if (length === size && code === 0) resolve(text);
      else if (length > size) reject(new Error(`it expands to more than ${size} bytes`));
      else reject(new Error(message.trim() || `it expands to ${length} bytes instead of ${size}`));
    });
  });
}

function indexGone(suite: LockedSuite, index: LockedIndex) {
  return failure("index-gone", `the mirror no longer has the index ${index.path} of ${suite.suite} of ${suite.date}`, {
    hint: "the lock is older than the mirror: make it anew with `meso pull`, or name a mirror that keeps old versions in MESO_DEBIAN_MIRROR",
  });
}

function indexMismatch(suite: LockedSuite, index: LockedIndex) {
  return failure("hash-mismatch", `the mirror serves the index ${index.path} of ${suite.suite} with other contents`, {
    expected: `${index.size} bytes with SHA-256 ${index.sha256}`,
    hint: "the mirror or a proxy on the way is damaged: try another one through MESO_DEBIAN_MIRROR",
  });
}
