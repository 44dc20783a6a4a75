import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { test } from "node:test";
import { MesoError } from "../base/error.ts";
import { openBinaryCache } from "./binary-cache.ts";
import { cacheSettings, configuredCaches, writeCacheSettings } from "./cache-settings.ts";
import { challenge } from "./challenge.ts";
import { compressions } from "./compression.ts";
import { copyToFolder } from "./copy-items.ts";
import { exportItems, importItems } from "./export-items.ts";
import { type Items, openItems } from "./items.ts";
import { makeCacheKey, readPublicKey } from "./narinfo.ts";
import { parseRange } from "./range.ts";
import { parseRemoteStore } from "./remote-store.ts";
import { removeTree } from "./remove-tree.ts";
import { storeServer } from "./serve.ts";
import { openStore, type Store } from "./store.ts";
import { createSubstituter, repairItem } from "./substitute.ts";

const key = makeCacheKey("test-1", Buffer.alloc(32, 7));
const code = (expected: string) => (error: unknown) => error instanceof MesoError && error.code === expected;

interface Place {
  readonly folder: string;
  readonly store: Store;
  readonly items: Items;
  readonly otherStore: Store;
  readonly other: Items;
  /** Needs `base`. */
  readonly top: string;
  readonly base: string;
}

async function withStores(body: (place: Place) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "meso-copy-"));
  try {
    const [store, otherStore] = ["one", "other"].map((name) => openStore(join(folder, name))) as [Store, Store];
    const [items, other] = [openItems(store), openItems(otherStore)];
    const base = await items.addText("base", "base");
    const top = await items.addText("top", base, [base]);
    await body({ folder, store, items, otherStore, other, top, base });
  } finally {
    removeTree(folder);
  }
}

async function gathered(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}

async function* inPieces(bytes: Buffer, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

test("a folder is a cache that items come back from, whatever packs them; a second copy writes nothing", () =>
  withStores(async ({ folder, items, otherStore, other, top, base }) => {
    for (const compression of compressions) {
      const cache = join(folder, compression);
      const options = { compression, parallel: 2, secretKey: key.secret };
      const written = await copyToFolder(items, [top], cache, options);
      assert.deepEqual(
        written.map(({ path }) => path),
        [base, top],
      );
      assert.deepEqual(await copyToFolder(items, [top], cache, options), []);
      assert.deepEqual(readdirSync(cache).length, 4);
      assert.deepEqual(readdirSync(join(cache, "nar")).length, 2);
      const place = mkdtempSync(join(folder, "back-"));
      const store = openStore(place);
      const back = openItems(store);
      const from = (keys: string[]) => [openBinaryCache(cache, keys.map(readPublicKey))];
      const stranger = makeCacheKey("test-1", Buffer.alloc(32, 8)).public;
      assert.deepEqual(await createSubstituter(store, back, from([stranger])).substitute([top]), [top]);
      assert.deepEqual(await createSubstituter(store, back, from([stranger, key.public])).substitute([top]), []);
      assert.deepEqual(back.verify(), []);
    }
    writeFileSync(join(folder, "zstd", "nix-cache-info"), "StoreDir: /nix/store\n");
    await assert.rejects(
      copyToFolder(items, [top], join(folder, "zstd"), { compression: "zstd", parallel: 1 }),
      code("other-store"),
    );
    assert.deepEqual([...other.all()], []);
    assert.deepEqual(readdirSync(join(otherStore.directory, "tmp")), []);
  }));

test("a stream of items is taken whole, in pieces of any size; a damaged one leaves only whole items", () =>
  withStores(async ({ folder, items, top, base }) => {
    const records = [base, top].map((path) => items.record(path)!);
    const stream = await gathered(exportItems(items, records));
    const into = async (bytes: Buffer, size: number) => {
      const store = openStore(mkdtempSync(join(folder, "into-")));
      const other = openItems(store);
      try {
        return { other, taken: await importItems(store, other, inPieces(bytes, size)) };
      } finally {
        assert.deepEqual(other.verify(), []);
        assert.deepEqual(readdirSync(join(store.directory, "tmp")), []);
      }
    };
    for (const size of [1, 7, 8, 100, stream.length]) {
      const { other, taken } = await into(stream, size);
      assert.deepEqual(taken, [base, top]);
      const { registeredSeconds: _, ...record } = items.record(top)!;
      const { registeredSeconds: __, ...copied } = other.record(top)!;
      assert.deepEqual(copied, record);
    }
    for (let cut = 0; cut < stream.length; cut += 13) {
      await assert.rejects(into(stream.subarray(0, cut), 64), code("bad-nar"));
    }
    // References before what they refer to; paths of elsewhere.
    await assert.rejects(
      gathered(exportItems(items, [records[1]!])).then((bytes) => into(bytes, 64)),
      code("missing-item"),
    );
    const hostile = Buffer.from(stream.toString("latin1").replaceAll("/meso/store", "/mesx/store"), "latin1");
    await assert.rejects(into(hostile, 64), code("bad-export"));
  }));

test("what another has built otherwise is told, with the place; what the disk has spoilt is fetched anew", () =>
  withStores(async ({ folder, store, items, otherStore, other, top, base }) => {
    const cache = join(folder, "cache");
    await copyToFolder(items, [top], cache, { compression: "zstd", parallel: 1, secretKey: key.secret });
    // Other contents under the same name.
    const aside = otherStore.temporaryPath();
    writeFileSync(aside, "bass");
    await other.register(base, aside, { mayReferTo: [] });
    const alone = await other.addText("alone", "alone");
    const caches = [openBinaryCache(cache, []), openBinaryCache("http://127.0.0.1:9", [])];
    const records = [base, alone].map((path) => other.record(path)!);
    const [different, unknown] = await challenge(otherStore, other, records, caches, { explain: true });
    assert.equal(different!.verdict, "different");
    assert.equal(different!.others[0]!.difference, "it: from byte 3 on (4 and 4 bytes)");
    assert.equal(different!.others[1]!.trouble!.code, "cache-unreachable");
    assert.equal(unknown!.verdict, "unknown");
    const [same] = await challenge(store, items, [items.record(top)!], caches.slice(0, 1));
    assert.equal(same!.verdict, "same");

    const place = items.physicalPath(base);
    chmodSync(place, 0o644);
    writeFileSync(place, "rotten");
    assert.equal(items.verify().length, 1);
    assert.equal(await repairItem(store, items, [openBinaryCache(cache, [])], base), false);
    const trusted = [openBinaryCache(cache, [readPublicKey(key.public)])];
    assert.equal(await repairItem(store, items, trusted, base), true);
    assert.deepEqual(items.verify(), []);
    // Of another content, it would be no repair.
    assert.equal(await repairItem(otherStore, other, trusted, base), false);
    assert.equal(readFileSync(other.physicalPath(base), "utf8"), "bass");
  }));

test("a server answers as HTTP wants: ranges, names of contents, heads, other methods, metrics", () =>
  withStores(async ({ store, items, top }) => {
    const server = storeServer(store, items, { compression: "zstd", priority: 5 });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const ask = (path: string, init: RequestInit = {}) =>
      fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/${path}`, init);
    try {
      assert.match(await (await ask("nix-cache-info")).text(), /^StoreDir: \/meso\/store\n.*\nPriority: 5\n/);
      const info = await ask(`${basename(top).slice(0, 32)}.narinfo`);
      assert.equal(info.headers.get("content-type"), "text/x-nix-narinfo");
      const url = /^URL: (.*)$/m.exec(await info.text())![1]!;
      const whole = await ask(url);
      assert.match(whole.headers.get("cache-control")!, /immutable/);
      const etag = whole.headers.get("etag")!;
      const bytes = Buffer.from(await whole.arrayBuffer());
      // Packed, the description tells the file's hash too.
      assert.match(await (await ask(`${basename(top).slice(0, 32)}.narinfo`)).text(), /^FileHash: sha256:/m);
      const part = await ask(url, { headers: { Range: "bytes=10-19" } });
      assert.equal(part.status, 206);
      assert.equal(part.headers.get("content-range"), `bytes 10-19/${bytes.length}`);
      assert.deepEqual(Buffer.from(await part.arrayBuffer()), bytes.subarray(10, 20));
      const tail = await ask(url, { headers: { Range: "bytes=-5", "If-Range": etag } });
      assert.deepEqual(Buffer.from(await tail.arrayBuffer()), bytes.subarray(-5));
      assert.equal((await ask(url, { headers: { Range: "bytes=1-", "If-Range": '"other"' } })).status, 200);
      assert.equal((await ask(url, { headers: { Range: `bytes=${bytes.length}-` } })).status, 416);
      assert.equal((await ask(url, { headers: { "If-None-Match": etag } })).status, 304);
      const head = await ask(url, { method: "HEAD" });
      assert.deepEqual([head.headers.get("content-length"), await head.text()], [String(bytes.length), ""]);
      assert.equal((await ask(url, { method: "DELETE" })).status, 405);
      for (const path of [
        `${"0".repeat(32)}.narinfo`,
        url.replace(".zst", ""),
        url.replace(/-[0-9a-f]/, "-0"),
        "%2e%2e/records",
        "x",
      ]) {
        assert.equal((await ask(path)).status, 404, path);
      }
      const metrics = await (await ask("metrics")).text();
      assert.match(metrics, /^meso_cache_requests_total\{kind="nar",status="206"\} 2$/m);
      assert.match(metrics, /^meso_store_items 2$/m);
      assert.doesNotMatch(metrics, /NaN|undefined/);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }));

test("ranges and addresses are read strictly", () => {
  const cases: readonly (readonly [string | undefined, unknown])[] = [
    ["bytes=0-", { start: 0, end: 10 }],
    ["bytes=9-100", { start: 9, end: 10 }],
    ["bytes=-100", { start: 0, end: 10 }],
    ["bytes=10-", "unsatisfiable"],
    ["bytes=-0", "unsatisfiable"],
    ["bytes=5-4", undefined],
    ["bytes=-", undefined],
    ["bytes=0-1,3-4", undefined],
    ["items=0-1", undefined],
    [undefined, undefined],
  ];
  for (const [field, range] of cases) assert.deepEqual(parseRange(field, 10), range, field);
  assert.deepEqual(parseRemoteStore("ssh://root@login-1:2222/srv/meso"), {
    ...{ host: "root@login-1", port: 2222, directory: "/srv/meso", program: "meso" },
  });
  for (const bad of ["ssh://-oProxyCommand=x", "ssh://a@-b c", "ssh://", "http://x", "ssh://h:p"]) {
    assert.throws(() => parseRemoteStore(bad), code("bad-cache"), bad);
  }
  assert.throws(() => openBinaryCache("ftp://x", []), code("bad-cache"));
});

test("the caches of a store are kept in the order of preference; a wrong key or a damaged file is told", () =>
  withStores(async ({ store }) => {
    assert.deepEqual(cacheSettings(store), []);
    const settings = [
      { address: "http://one:1", keys: [key.public] },
      { address: "/two", keys: [] },
    ];
    writeCacheSettings(store, settings);
    assert.deepEqual(cacheSettings(store), settings);
    assert.deepEqual(
      configuredCaches(store).map(({ name }) => name),
      ["http://one:1", "/two"],
    );
    assert.throws(() => writeCacheSettings(store, [{ address: "/x", keys: ["key"] }]), code("bad-cache-key"));
    for (const text of ["", "[]", '{"caches":[1]}', '{"caches":[{"address":1,"keys":[]}]}']) {
      writeFileSync(join(store.directory, "caches.json"), text);
      assert.throws(() => cacheSettings(store), code("bad-caches"), text);
    }
  }));

test("a server that redirects to nowhere, or says nonsense of ranges, gives nothing", () =>
  withStores(async ({ otherStore, other, store, items, base }) => {
    const real = storeServer(store, items, { compression: "none", priority: 5, secretKey: key.secret });
    await new Promise<void>((resolve) => real.listen(0, "127.0.0.1", resolve));
    const behind = `http://127.0.0.1:${(real.address() as AddressInfo).port}`;
    const front = createServer(async ({ url }, response) => {
      if (url!.endsWith(".narinfo")) return void response.end(await (await fetch(behind + url)).text());
      response.writeHead(206, { "Content-Range": "bytes x-y/z" }).end("abc");
    });
    await new Promise<void>((resolve) => front.listen(0, "127.0.0.1", resolve));
    try {
      const cache = openBinaryCache(`http://127.0.0.1:${(front.address() as AddressInfo).port}`, [
        readPublicKey(key.public),
      ]);
      assert.deepEqual(await createSubstituter(otherStore, other, [cache]).substitute([base]), [base]);
      assert.deepEqual([...other.all()], []);
    } finally {
      for (const server of [real, front]) {
        server.closeAllConnections();
        server.close();
      }
    }
    rmSync(join(otherStore.directory, "partial"), { recursive: true, force: true });
  }));
