import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { test } from "node:test";
import type { MesoError } from "../base/error.ts";
import { openBinaryCache, type PatienceOptions } from "./binary-cache.ts";
import type { Compression } from "./compression.ts";
import { type Items, openItems } from "./items.ts";
import { makeCacheKey, parseNarInfo, printNarInfo, readPublicKey, signNarInfo } from "./narinfo.ts";
import { removeTree } from "./remove-tree.ts";
import { storeServer } from "./serve.ts";
import { openStore, type Store } from "./store.ts";
import { createSubstituter, type SubstituteOptions } from "./substitute.ts";

const key = makeCacheKey("test-1", Buffer.alloc(32, 7));
const trusted = [readPublicKey(key.public)];
/** Short, so that tests are; long enough for a good server on a busy machine. */
const patience: PatienceOptions = { silenceSeconds: 1.5, minimumBytesPerSecond: 4096 };

interface Place {
  readonly folder: string;
  /** Has `base`, and `top` that needs it. */
  readonly theirs: Items;
  readonly theirStore: Store;
  readonly ours: Items;
  readonly ourStore: Store;
  readonly base: string;
  readonly top: string;
  /** An address of their store. */
  readonly serve: (compression?: Compression) => Promise<string>;
  /** An address where what `change` does stands between. */
  readonly spoil: (to: string, change: Change) => Promise<string>;
  readonly tell: MesoError[];
  readonly fetch: (
    addresses: readonly string[],
    paths: readonly string[],
    more?: SubstituteOptions,
  ) => Promise<readonly string[]>;
}

type Change = (
  request: IncomingMessage,
  response: ServerResponse,
  /** What the server behind answers. */
  answer: { status: number; headers: IncomingMessage["headers"]; body: Buffer },
) => void | Promise<void>;

async function withCaches(body: (place: Place) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "meso-substitute-"));
  const servers: Server[] = [];
  const listen = async (server: Server): Promise<string> => {
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  try {
    const [theirStore, ourStore] = ["theirs", "ours"].map((name) => openStore(join(folder, name))) as [Store, Store];
    const [theirs, ours] = [openItems(theirStore), openItems(ourStore)];
    const base = await theirs.addText("base", "base".repeat(100_000));
    const top = await theirs.addText("top", base, [base]);
    const tell: MesoError[] = [];
    await body({
      ...{ folder, theirs, theirStore, ours, ourStore, base, top, tell },
      serve: (compression = "zstd") =>
        listen(storeServer(theirStore, theirs, { compression, secretKey: key.secret, priority: 30 })),
      spoil: (to, change) =>
        listen(
          createServer(async (request, response) => {
            await change(request, response, await ask(`${to}${request.url}`, request.headers));
            if (!response.writableEnded && !response.headersSent) response.destroy();
          }),
        ),
      fetch: (addresses, paths, more = {}) =>
        createSubstituter(
          ourStore,
          ours,
          addresses.map((address) => openBinaryCache(address, trusted, patience)),
          { onTrouble: (trouble) => tell.push(trouble), ...more },
        ).substitute(paths),
    });
  } finally {
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
    removeTree(folder);
  }
}

function ask(url: string, headers: IncomingMessage["headers"] = {}): Promise<Parameters<Change>[2]> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { headers: { ...headers, host: new URL(url).host } }, (answer) => {
      const pieces: Buffer[] = [];
      answer.on("data", (piece: Buffer) => pieces.push(piece));
      answer.on("end", () =>
        resolve({ status: answer.statusCode!, headers: answer.headers, body: Buffer.concat(pieces) }),
      );
    });
    request.on("error", reject);
    request.end();
  });
}

const isNar = ({ url }: IncomingMessage): boolean => url!.startsWith("/nar/");
const isInfo = ({ url }: IncomingMessage): boolean => url!.endsWith(".narinfo");

/** Sends what the server behind answered, with another body. */
function send(response: ServerResponse, { status, headers, body }: Parameters<Change>[2], other = body): void {
  response.writeHead(status, { ...headers, "content-length": other.length }).end(other);
}

for (const compression of ["zstd", "gzip", "xz", "none"] as const) {
  test(`an item comes with what it needs, once, and keeps its signature: ${compression}`, () =>
    withCaches(async ({ serve, fetch, ours, theirs, ourStore, top, base, tell }) => {
      const fetched: string[] = [];
      const more = { onFetched: ({ storePath }: { storePath: string }) => fetched.push(storePath) };
      const address = await serve(compression);
      assert.deepEqual(await fetch([address], [top], more), []);
      assert.deepEqual(fetched, [base, top]);
      assert.deepEqual(ours.verify(), []);
      const { registeredSeconds, signatures, ...record } = ours.record(top)!;
      const { registeredSeconds: _, ...original } = theirs.record(top)!;
      assert.deepEqual(record, original);
      assert.match(signatures![0]!, /^test-1:/);
      assert.deepEqual(await fetch([address], [top, base], more), []);
      assert.equal(fetched.length, 2);
      assert.deepEqual(tell, []);
      for (const left of ["tmp", "partial", "locks"]) assert.deepEqual(readdirSync(join(ourStore.directory, left)), []);
    }));
}

const flip = (body: Buffer): Buffer => {
  const spoilt = Buffer.from(body);
  spoilt[spoilt.length >> 1]! ^= 1;
  return spoilt;
};
const endless = (response: ServerResponse): void => {
  response.writeHead(200);
  const timer = setInterval(() => response.write("x"), 20);
  response.on("close", () => clearInterval(timer));
};

const tampered: Readonly<Record<string, Change>> = {
  "wrong bytes": (request, response, answer) => send(response, answer, isNar(request) ? flip(answer.body) : undefined),
  "another item's bytes": async (request, response, answer) => {
    if (!isNar(request)) return send(response, answer);
    response.writeHead(200, { "content-length": 3 }).end("abc");
  },
  "no archive": (request, response, answer) =>
    isNar(request) ? void response.writeHead(404).end() : send(response, answer),
  "a truncated archive": (request, response, answer) =>
    send(response, answer, isNar(request) ? answer.body.subarray(0, answer.body.length >> 1) : undefined),
  "a connection that breaks": (request, response, answer) => {
    if (!isNar(request)) return send(response, answer);
    response.writeHead(answer.status, answer.headers);
    response.write(answer.body.subarray(0, 10), () => response.destroy());
  },
  "an archive that never ends": (request, response, answer) => {
    if (!isNar(request)) return send(response, answer);
    response.writeHead(200);
    const more = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(1 << 16, 40)));
      if (!response.destroyed) response.once("drain", more);
    };
    more();
  },
  "an archive that crawls": (request, response, answer) =>
    isNar(request) ? endless(response) : send(response, answer),
  "an archive that never begins": (request, response, answer) => {
    if (isNar(request)) return new Promise((resolve) => response.on("close", resolve));
    return send(response, answer);
  },
  "descriptions that never come": (request, response) =>
    isInfo(request) ? new Promise((resolve) => response.on("close", resolve)) : undefined,
  "descriptions that never end": (request, response) => (isInfo(request) ? endless(response) : undefined),
  "errors of the server": (_, response) => void response.writeHead(500).end(),
  "what is no description": (request, response, answer) =>
    isInfo(request) ? send(response, answer, Buffer.from("<html>")) : undefined,
  "a wrong signature": (request, response, answer) =>
    send(
      response,
      answer,
      isInfo(request)
        ? Buffer.from(String(answer.body).replace(/Sig: test-1:.{8}/, "Sig: test-1:AAAAAAAA"))
        : undefined,
    ),
  "no signature": (request, response, answer) =>
    send(response, answer, isInfo(request) ? Buffer.from(String(answer.body).replace(/Sig: .*\n/, "")) : undefined),
  "a signature of another": (request, response, answer) => {
    if (!isInfo(request) || answer.status !== 200) return send(response, answer);
    const other = makeCacheKey("test-1", Buffer.alloc(32, 8));
    const info = signNarInfo({ ...parseNarInfo(String(answer.body)), signatures: [] }, other.secret);
    send(response, answer, Buffer.from(printNarInfo(info)));
  },
  "fewer references than were signed": (request, response, answer) =>
    send(
      response,
      answer,
      isInfo(request) ? Buffer.from(String(answer.body).replace(/^References: .*$/m, "References: ")) : undefined,
    ),
  "a signed length that its archive has not": (request, response, answer) => {
    if (!isInfo(request) || answer.status !== 200) return send(response, answer);
    const { signatures: _, ...info } = parseNarInfo(String(answer.body));
    const longer = signNarInfo({ ...info, narSize: info.narSize + 1, signatures: [] }, key.secret);
    send(response, answer, Buffer.from(printNarInfo(longer)));
  },
  // Not signed: the same bytes may be packed in many ways.
  "the hash of another file": (request, response, answer) => {
    if (!isInfo(request) || answer.status !== 200) return send(response, answer);
    const info = { ...parseNarInfo(String(answer.body)), fileHash: "0".repeat(64) };
    send(response, answer, Buffer.from(printNarInfo(info)));
  },
  "an archive elsewhere": (request, response, answer) =>
    send(
      response,
      answer,
      isInfo(request) ? Buffer.from(String(answer.body).replace(/^URL: .*$/m, "URL: ../../../etc/passwd")) : undefined,
    ),
};

for (const [what, change] of Object.entries(tampered)) {
  test(`a cache with ${what} gives nothing, and the next one all`, () =>
    withCaches(async ({ serve, spoil, fetch, ours, ourStore, base, top, tell }) => {
      const address = await serve();
      const bad = await spoil(address, change);
      // Of a description that claims fewer references, `base` is as it should be.
      const missing = await fetch([bad], [top]);
      assert.deepEqual(missing, [top]);
      assert.equal(ours.record(top), undefined);
      assert.deepEqual(ours.verify(), []);
      for (const { path } of ours.all()) assert.equal(path, base);
      assert.ok(tell.length > 0, "the trouble is told");
      assert.deepEqual(readdirSync(join(ourStore.directory, "tmp")), []);
      assert.deepEqual(await fetch([bad, address], [top]), []);
      assert.deepEqual(ours.verify(), []);
    }));
}

test("a dead cache is left alone soon; a cache for another item, or in a ring, gives nothing", () =>
  withCaches(async ({ serve, spoil, fetch, ours, theirs, base, top, tell, folder }) => {
    const dead = "http://127.0.0.1:9";
    assert.deepEqual(await fetch([dead], [top]), [top]);
    assert.equal(tell.at(-1)!.code, "cache-unreachable");
    assert.deepEqual(await fetch([join(folder, "nowhere")], [top]), [top]);
    const address = await serve();
    // The description of another item, rightly signed, under this item's name.
    const swapped = await spoil(address, async (request, response) => {
      send(response, await ask(`${address}/${basename(base).slice(0, 32)}.narinfo`, request.headers));
    });
    assert.deepEqual(await fetch([swapped], [top]), [top]);
    assert.equal(tell.at(-1)!.code, "wrong-description");
    // Two that need each other, signed by a key that is trusted.
    const ring = await spoil(address, (request, response, answer) => {
      if (!isInfo(request)) return send(response, answer);
      const info = parseNarInfo(String(answer.body));
      const references = [info.storePath === base ? top : base];
      send(response, answer, Buffer.from(printNarInfo(signNarInfo({ ...info, references }, key.secret))));
    });
    assert.deepEqual(await fetch([ring], [top, base]), [top, base]);
    assert.deepEqual([...ours.all()], []);
    assert.deepEqual(await fetch([dead, ring, address], [top]), []);
    assert.deepEqual(ours.verify(), []);
    assert.ok(theirs.record(top));
  }));

test("a small file that expands to more than was said is stopped", () =>
  withCaches(async ({ serve, spoil, fetch, ours, base, tell }) => {
    const address = await serve("gzip");
    const bomb = await import("node:zlib").then(({ gzipSync }) => gzipSync(Buffer.alloc(50_000_000)));
    const bad = await spoil(address, (request, response, answer) => {
      if (isNar(request)) return void response.writeHead(200).end(bomb);
      // An unsigned field, which the server may say what it likes in.
      send(response, answer, Buffer.from(String(answer.body).replace(/^File.*\n/gm, "")));
    });
    assert.deepEqual(await fetch([bad], [base]), [base]);
    assert.match(tell[0]!.message, /does not read on|more than/);
    assert.deepEqual([...ours.all()], []);
  }));

test("what a lost connection has left is gone on with, from this cache or another; what is spoilt of it is not used", () =>
  withCaches(async ({ serve, spoil, fetch, ours, ourStore, theirs, base, tell }) => {
    const address = await serve("none");
    const asked: (string | undefined)[] = [];
    let breaks = true;
    const flaky = await spoil(address, (request, response, answer) => {
      if (!isNar(request)) return send(response, answer);
      asked.push(request.headers.range);
      if (!breaks) return send(response, answer);
      response.writeHead(answer.status, answer.headers);
      response.write(answer.body.subarray(0, 100_000), () => response.destroy());
    });
    assert.deepEqual(await fetch([flaky], [base]), [base]);
    assert.equal(tell[0]!.code, "cache-unreachable");
    const [left] = readdirSync(join(ourStore.directory, "partial")).filter((name) => !name.endsWith(".state"));
    assert.ok(left);
    breaks = false;
    assert.deepEqual(await fetch([flaky], [base]), []);
    assert.deepEqual(asked, [undefined, "bytes=100000-"]);
    assert.deepEqual(ours.verify(), []);
    // The same, with a beginning that is wrong: it is seen at the end, and all fetched anew.
    removeTree(join(ourStore.directory, "records", basename(base)));
    writeFileSync(join(ourStore.directory, "partial", left), Buffer.alloc(100_000, 1));
    assert.deepEqual(await fetch([flaky], [base]), []);
    assert.deepEqual(asked.slice(2), ["bytes=100000-", undefined]);
    assert.equal(ours.record(base)!.narSha256, theirs.record(base)!.narSha256);
    assert.deepEqual(readdirSync(join(ourStore.directory, "partial")), []);
    rmSync(join(ourStore.directory, "partial"), { recursive: true });
  }));
