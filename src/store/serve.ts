import { createReadStream } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { sha256 } from "../base/hash.ts";
import { type Compression, compressionSuffix } from "./compression.ts";
import type { ItemRecord } from "./item-record.ts";
import type { Items } from "./items.ts";
import { itemsByHash } from "./items-by-hash.ts";
import { takeLease } from "./leases.ts";
import { narStream } from "./nar.ts";
import { printNarInfo } from "./narinfo.ts";
import { cacheInfo, describeForCache, ensurePacked, packedFile } from "./packed-item.ts";
import { parseRange } from "./range.ts";
import { serverMetrics } from "./server-metrics.ts";
import type { Store } from "./store.ts";

export interface ServeOptions {
  readonly compression: Compression;
  /** `NAME:BASE64`; nothing of its own is signed without. */
  readonly secretKey?: string;
  /** Less is preferred by Nix's tools; ours go by the order in which they are given. */
  readonly priority: number;
  /** Told of what went wrong inside; the client hears only that something did. */
  readonly onError?: (error: unknown) => void;
}

/** An answer that is ready to be sent. */
interface Answer {
  readonly kind: string;
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | number>>;
  readonly body?: string | (() => Readable);
  /** Called when nothing more is sent. */
  readonly done?: () => void;
}

/** A server of a store in the layout of Nix's binary caches. It only reads items, and serves none that is not valid. */
export function storeServer(store: Store, items: Items, options: ServeOptions): Server {
  const find = itemsByHash(store, items);
  const metrics = serverMetrics(find.count);
  const server = createServer((request, response) => {
    void handle(request, response);
  });
  // A client that takes nothing for so long keeps no file open.
  server.setTimeout(120_000);
  return server;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const finished = metrics.begun();
    let answer: Answer | undefined;
    let sent = 0;
    try {
      answer = await answerTo(request);
      sent = await send(request, response, answer);
    } catch (error) {
      // A connection that the client closed is nobody's fault.
      if (!response.destroyed || !isClosed(error)) options.onError?.(error);
      answer ??= { kind: "error", status: 500 };
      if (!response.headersSent) response.writeHead(500).end();
      else response.destroy();
    } finally {
      answer?.done?.();
      finished(answer?.kind ?? "error", answer?.status ?? 500, sent);
    }
  }

  async function answerTo({ url = "/", method, headers }: IncomingMessage): Promise<Answer> {
    const [path] = url.split("?") as [string];
    if (method !== "GET" && method !== "HEAD") {
      return { kind: "other", status: 405, headers: { Allow: "GET, HEAD" } };
    }
    if (path === "/nix-cache-info") return text("info", cacheInfo(items.prefix, options.priority), headers);
    if (path === "/metrics") return { ...text("metrics", metrics.print(), {}), headers: metricsHeaders };
    if (path === "/") return text("info", `a store of Mesoforge, in the layout of a binary cache\n`, headers);
    const description = /^\/([0-9a-df-np-sv-z]{32})\.narinfo$/.exec(path);
    if (description) return narInfo(description[1]!, headers);
    const archive = /^\/nar\/([0-9a-df-np-sv-z]{32})-([0-9a-f]{64})\.nar(\.zst|\.gz|\.xz|)$/.exec(path);
    if (archive) return nar(archive[1]!, archive[2]!, archive[3]!, headers);
    return notFound("other");
  }

  function narInfo(hash: string, headers: IncomingMessage["headers"]): Answer {
    const record = find.item(hash);
    if (!record) return notFound("narinfo");
    const { compression } = options;
    const known = compression === "none" ? plainFile(record) : packedFile(store, record, compression);
    const url = `nar/${hash}-${record.narSha256}.nar${compressionSuffix(compression)}`;
    const info = describeForCache(record, { url, compression, ...known }, options.secretKey);
    return text("narinfo", printNarInfo(info), headers, "text/x-nix-narinfo");
  }

  async function nar(hash: string, narSha256: string, suffix: string, headers: IncomingMessage["headers"]) {
    const compression = (["zstd", "gzip", "xz", "none"] as const).find((one) => compressionSuffix(one) === suffix)!;
    const lease = takeLease(store.directory);
    const done = lease.release;
    try {
      const record = find.item(hash);
      // Only what is described is packed: nobody makes this host work with other compressions.
      if (record?.narSha256 !== narSha256 || compression !== options.compression) return release(notFound("nar"), done);
      await lease.hold([record.path]);
      if (!items.record(record.path)) return release(notFound("nar"), done);
      const file = compression === "none" ? plainFile(record) : await ensurePacked(store, items, record, compression);
      const etag = `"${file.fileHash}"`;
      const common = {
        "Content-Type": "application/x-nix-nar",
        ETag: etag,
        "Accept-Ranges": "bytes",
        // The address names the contents.
        "Cache-Control": "public, max-age=31536000, immutable",
      };
      if (headers["if-none-match"] === etag) return release({ kind: "nar", status: 304, headers: common }, done);
      const ifRange = headers["if-range"];
      const range = ifRange === undefined || ifRange === etag ? parseRange(headers.range, file.fileSize) : undefined;
      if (range === "unsatisfiable") {
        const refused = { ...common, "Content-Range": `bytes */${file.fileSize}` };
        return release({ kind: "nar", status: 416, headers: refused }, done);
      }
      const { start, end } = range ?? { start: 0, end: file.fileSize };
      const body = (): Readable =>
        "path" in file
          ? createReadStream(file.path, { start, end: Math.max(start, end - 1), highWaterMark: 1 << 18 })
          : Readable.from(cut(narStream(items.physicalPath(record.path)), start, end));
      return {
        ...{ kind: "nar", status: range ? 206 : 200, body, done },
        headers: {
          ...common,
          "Content-Length": end - start,
          ...(range && { "Content-Range": `bytes ${start}-${end - 1}/${file.fileSize}` }),
        },
      };
    } catch (error) {
      done();
      throw error;
    }
  }
}

const metricsHeaders = { "Content-Type": "text/plain; version=0.0.4; charset=utf-8", "Cache-Control": "no-store" };

function release(answer: Answer, done: () => void): Answer {
  return { ...answer, done };
}

function notFound(kind: string): Answer {
  // Soon there may be one.
  return { kind, status: 404, headers: { "Cache-Control": "public, max-age=10" }, body: "not found\n" };
}

function text(kind: string, body: string, headers: IncomingMessage["headers"], type = "text/plain"): Answer {
  const etag = `"${sha256(body).slice(0, 32)}"`;
  const common = { "Content-Type": type, ETag: etag, "Cache-Control": "public, max-age=3600" };
  if (headers["if-none-match"] === etag) return { kind, status: 304, headers: common };
  return { kind, status: 200, headers: common, body };
}

function plainFile({ narSha256, narSize }: ItemRecord) {
  return { fileHash: narSha256, fileSize: narSize };
}

/** Gives how many bytes of the body went out. */
async function send(request: IncomingMessage, response: ServerResponse, answer: Answer): Promise<number> {
  const { status, headers = {}, body } = answer;
  const isText = typeof body === "string";
  response.writeHead(status, { ...headers, ...(isText && { "Content-Length": Buffer.byteLength(body) }) });
  if (body === undefined || request.method === "HEAD") {
    response.end();
    return 0;
  }
  if (isText) {
    response.end(body);
    return Buffer.byteLength(body);
  }
  let sent = 0;
  const stream = body();
  stream.on("data", (piece: Uint8Array) => {
    sent += piece.length;
  });
  await pipeline(stream, response);
  return sent;
}

async function* cut(pieces: AsyncIterable<Uint8Array>, start: number, end: number): AsyncGenerator<Uint8Array> {
  let at = 0;
  for await (const piece of pieces) {
    const part = piece.subarray(Math.max(0, start - at), Math.max(0, end - at));
    at += piece.length;
    if (part.length > 0) yield part;
    if (at >= end) return;
  }
}

function isClosed(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ERR_STREAM_PREMATURE_CLOSE" || code === "ECONNRESET" || code === "EPIPE";
}
