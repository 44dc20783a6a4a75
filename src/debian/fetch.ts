import { createReadStream, statSync } from "node:fs";
import type { Agent as HttpAgent, IncomingMessage } from "node:http";
import type { Agent as HttpsAgent } from "node:https";
import type { Readable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { failure } from "../base/error.ts";
import { isPlainPath } from "./release.ts";

export interface FetchOptions {
  readonly proxy?: Readonly<Record<string, string>>;
  /** Connections held open to one host at a time; 8 by default. */
  readonly connections?: number;
  /** A connection that stays silent for so long is given up; 30 by default. */
  readonly timeoutSeconds?: number;
  /** Before the first repetition; doubles each time. 0.25 by default. */
  readonly retryDelaySeconds?: number;
  readonly signal?: AbortSignal;
}

/** Reads files of mirrors over connections that it keeps open. Close it when done. */
export interface Fetcher {
  readonly options: FetchOptions;
  /**
   * Opens `url` from byte `offset` on. `body.offset` says where the body really starts: 0 where the server
   * cannot start in the middle.
   * @throws FetchFault
   */
  open(url: string, offset?: number): Promise<OpenFile>;
  close(): void;
}

export interface OpenFile {
  readonly body: Readable;
  /** Bytes of the file that come before the body. */
  readonly offset: number;
  /** Bytes of the whole file, where the server says so. */
  readonly size?: number;
}

/**
 * Why a file could not be fetched. `gone`: the mirror answers that it has no such file; `range`: it has fewer
 * bytes than asked to skip; `passing`: worth trying again; `absent`: nobody is there, worth trying once more;
 * `refused`: not worth it.
 */
export class FetchFault extends Error {
  readonly kind: "gone" | "range" | "passing" | "absent" | "refused";
  readonly url: string;
  readonly reason: string;

  constructor(kind: FetchFault["kind"], url: string, reason: string) {
    super(`${displayUrl(url)}: ${reason}`);
    this.name = "FetchFault";
    this.kind = kind;
    this.url = url;
    this.reason = reason;
  }
}

/** Address of a mirror's file. @throws MesoError `hostile-path` for a path that is not plain and relative. */
export function mirrorUrl(base: string, path: string): string {
  if (!isPlainPath(path)) {
    throw failure("hostile-path", `"${path.slice(0, 200)}" is not the path of a file in an archive`, {
      expected: "a plain relative path: pool/main/b/bash/bash_5.2-1_amd64.deb",
    });
  }
  return `${base}/${path.split("/").map(encodeURIComponent).join("/")}`;
}

export function createFetcher(options: FetchOptions = {}): Fetcher {
  const agentOptions = { keepAlive: true, maxSockets: options.connections ?? 8, proxyEnv: options.proxy ?? {} };
  const { http, https } = protocols();
  const agents = { http: new http.Agent(agentOptions), https: new https.Agent(agentOptions) };
  // A mirror that answered before and is away now is being restarted; one that never did is a wrong address.
  const answered = new Set<string>();
  const openFrom = async (url: string, offset: number): Promise<OpenFile> => {
    const { host } = new URL(url);
    try {
      const file = await openRemote(url, offset, agents, options, 0);
      answered.add(host);
      return file;
    } catch (error) {
      if (!(error instanceof FetchFault)) throw error;
      if (error.kind !== "absent") answered.add(host);
      else if (answered.has(host)) throw new FetchFault("passing", url, error.reason);
      throw error;
    }
  };
  return {
    options,
    open: (url, offset = 0) => (url.startsWith("file:") ? openLocal(url, offset) : openFrom(url, offset)),
    close: () => {
      agents.http.destroy();
      agents.https.destroy();
    },
  };
}

/**
 * The whole of a small file, from the first of `urls` that has it; passing faults are repeated.
 * @throws MesoError `too-large` beyond `limit` bytes, `mirror-unreachable`; FetchFault `gone`.
 */
export async function fetchWhole(fetcher: Fetcher, urls: readonly string[], limit: number): Promise<Buffer> {
  const { signal } = fetcher.options;
  for (let attempt = 0; ; attempt++) {
    const url = urls[attempt % urls.length]!;
    try {
      const { body } = await fetcher.open(url);
      return await collect(body, limit, url);
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof FetchFault)) throw error;
      const last = attempt + 1 >= (triesOf[error.kind] ?? 1) * urls.length;
      if (last) throw error.kind === "gone" ? error : unreachable(error);
      if (error.kind in triesOf) await backOff(fetcher, Math.floor(attempt / urls.length));
    }
  }
}

const triesOf: Partial<Record<FetchFault["kind"], number>> = { passing: 4, absent: 2 };

/** Waits before repetition number `attempt` (from 0); an abort ends the wait. */
export async function backOff(fetcher: Fetcher, attempt: number): Promise<void> {
  const { retryDelaySeconds = 0.25, signal } = fetcher.options;
  await pause(retryDelaySeconds * 2 ** Math.min(attempt, 6) * 1000, undefined, signal ? { signal } : {});
}

export function unreachable(fault: FetchFault) {
  return failure(
    "mirror-unreachable",
    `the mirror does not deliver: ${fault.message}`,
    { hint: "check the network and the proxy, or name another mirror in MESO_DEBIAN_MIRROR; what has arrived is kept" },
    fault,
  );
}

async function collect(body: Readable, limit: number, url: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > limit) break;
      chunks.push(chunk);
    }
  } catch (error) {
    throw new FetchFault("passing", url, (error as Error).message);
  }
  if (length <= limit) return Buffer.concat(chunks);
  throw failure("too-large", `${displayUrl(url)} has more than ${limit} bytes`, {
    hint: "the mirror does not serve what it should: try another one",
  });
}

async function openLocal(url: string, offset: number): Promise<OpenFile> {
  try {
    const path = fileURLToPath(url);
    const status = statSync(path);
    if (!status.isFile()) throw new FetchFault("refused", url, "not a file");
    if (offset > status.size) throw new FetchFault("range", url, `has ${status.size} bytes`);
    return { body: createReadStream(path, { start: offset, highWaterMark: 1 << 18 }), offset, size: status.size };
  } catch (error) {
    if (error instanceof FetchFault) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw new FetchFault(code === "ENOENT" || code === "ENOTDIR" ? "gone" : "refused", url, message);
  }
}

/**
 * An import of node:http fills in all its exports, WebSocket among them, which loads a whole HTTP client of Node's
 * own: 20 ms in every run, though most fetch nothing.
 */
function protocols() {
  return { http: process.getBuiltinModule("node:http"), https: process.getBuiltinModule("node:https") };
}

type Agents = { readonly http: HttpAgent; readonly https: HttpsAgent };

async function openRemote(
  url: string,
  offset: number,
  agents: Agents,
  options: FetchOptions,
  redirects: number,
): Promise<OpenFile> {
  const response = await send(url, offset, agents, options);
  const status = response.statusCode ?? 0;
  if (status === 200 || status === 206) return describe(response, url, status, offset);
  response.resume();
  if ([301, 302, 303, 307, 308].includes(status)) {
    return openRemote(redirectTarget(response, url, redirects), offset, agents, options, redirects + 1);
  }
  const reason = `answers ${status} ${response.statusMessage ?? ""}`.trim();
  if (status === 404 || status === 410) throw new FetchFault("gone", url, reason);
  if (status === 416) throw new FetchFault("range", url, reason);
  throw new FetchFault(status >= 500 || status === 408 || status === 429 ? "passing" : "refused", url, reason);
}

function describe(response: IncomingMessage, url: string, status: number, asked: number): OpenFile {
  const length = /^\d{1,15}$/.test(response.headers["content-length"] ?? "")
    ? { size: Number(response.headers["content-length"]) }
    : {};
  if (status === 200) return { body: response, offset: 0, ...length };
  const range = /^bytes (\d{1,15})-\d{1,15}\/(\d{1,15}|\*)$/.exec(response.headers["content-range"] ?? "");
  if (!range || Number(range[1]) !== asked) {
    response.destroy();
    throw new FetchFault("range", url, "answers with a range that was not asked for");
  }
  return { body: response, offset: asked, ...(range[2] !== "*" && { size: Number(range[2]) }) };
}

function redirectTarget(response: IncomingMessage, url: string, redirects: number): string {
  const location = response.headers.location ?? "";
  const target = URL.canParse(location, url) ? new URL(location, url) : undefined;
  if (redirects >= 10) throw new FetchFault("refused", url, "redirects in a circle");
  const safe = target?.protocol === "https:" || (target?.protocol === "http:" && !url.startsWith("https:"));
  if (!target || !safe) throw new FetchFault("refused", url, "redirects to where we do not follow");
  return target.href;
}

function send(url: string, offset: number, agents: Agents, options: FetchOptions): Promise<IncomingMessage> {
  const secure = url.startsWith("https:");
  const headers = { "user-agent": "mesoforge", ...(offset > 0 && { range: `bytes=${offset}-` }) };
  const timeoutMilliseconds = (options.timeoutSeconds ?? 30) * 1000;
  return new Promise((resolve, reject) => {
    const { http, https } = protocols();
    const request = (secure ? https.request : http.request)(
      new URL(url),
      {
        agent: secure ? agents.https : agents.http,
        headers,
        timeout: timeoutMilliseconds,
        ...(options.signal && { signal: options.signal }),
      },
      resolve,
    );
    request.on("timeout", () => request.destroy(new Error(`silent for ${timeoutMilliseconds / 1000} s`)));
    request.on("error", (error: NodeJS.ErrnoException) => {
      const kind = /^(ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ENETUNREACH)$/.test(error.code ?? "") ? "absent" : "passing";
      reject(new FetchFault(kind, url, error.message || String(error)));
    });
    request.end();
  });
}

/** Addresses may carry a password. */
function displayUrl(url: string): string {
  return url.replace(/^(https?:\/\/)[^/@]*@/, "$1");
}
