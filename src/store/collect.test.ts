import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { test } from "node:test";
import { MesoError } from "../base/error.ts";
import { type CollectionOptions, collect, collectable } from "./collect.ts";
import { findItem } from "./find-item.ts";
import { closureSizes, referrersOf, whyItemStays } from "./item-graph.ts";
import { type Items, openItems } from "./items.ts";
import { collectionLock, sweepLock } from "./leases.ts";
import { removeTree } from "./remove-tree.ts";
import { addLinkRoot, addLockRoot, addRoot, readRoots, removeRoot } from "./roots.ts";
import { openStore, type Store } from "./store.ts";
import { storePath } from "./store-path.ts";

const now = Math.floor(Date.now() / 1000);
const day = 86_400;
/** Later than everything a test makes, so that nothing is kept for being new. */
const options: CollectionOptions = { now: now + 100 * day, graceSeconds: day, unusedSeconds: 30 * day };

interface Place {
  readonly folder: string;
  readonly store: Store;
  readonly items: Items;
}

async function withStore(body: (place: Place) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "meso-collect-"));
  try {
    const store = openStore(join(folder, "store"));
    await body({ folder, store, items: openItems(store) });
  } finally {
    removeTree(folder);
  }
}

/** top needs left and right, which both need base; alone needs nothing. */
async function diamond({ items, store }: Place) {
  const base = await items.addText("base", "base");
  const left = await items.addText("left", base, [base]);
  const right = await items.addText("right", `${base} `, [base]);
  const top = await items.addText("top", left + right, [left, right]);
  const alone = await items.addText("alone", "alone");
  store.release();
  return { base, left, right, top, alone };
}

const code = (expected: string) => (error: unknown) => error instanceof MesoError && error.code === expected;

test("what a root needs stays, all else goes, and what holds what is told", () =>
  withStore(async (place) => {
    const { store, items } = place;
    const { base, left, right, top, alone } = await diamond(place);
    await addRoot(store, items, "left", left);
    store.release();
    const { marked, items: dead } = collectable(store, items, options);
    assert.deepEqual(
      marked.holders.map(({ name, aloneItems }) => [name, aloneItems]),
      [["left", 2]],
    );
    assert.deepEqual(new Set(dead.map(({ path }) => path)), new Set([top, right, alone]));
    assert.ok(dead.findIndex(({ path }) => path === top) < dead.findIndex(({ path }) => path === right));
    assert.deepEqual((await collect(store, items, options)).items, 3);
    assert.deepEqual([...items.all()].map(({ path }) => path).sort(), [base, left].sort());
    assert.deepEqual(readdirSync(join(store.directory, "store")).sort(), [base, left].map((p) => basename(p)).sort());
    assert.deepEqual(items.verify(), []);
    assert.deepEqual(readdirSync(join(store.directory, "tmp")), []);
    assert.equal(removeRoot(store, "left"), true);
    assert.equal(removeRoot(store, "left"), false);
    await collect(store, items, options);
    assert.deepEqual([...items.all()], []);
  }));

test("roots that share a need hold it together; questions about items are answered", () =>
  withStore(async (place) => {
    const { store, items, folder } = place;
    const { base, left, right, top, alone } = await diamond(place);
    await addRoot(store, items, "l", left);
    await addRoot(store, items, "r", right);
    store.release();
    const { marked } = collectable(store, items, options);
    assert.deepEqual(
      marked.holders.map(({ name, aloneItems }) => [name, aloneItems]),
      [
        ["l", 1],
        ["r", 1],
      ],
    );
    const ways = whyItemStays(store, items, base, options).map(({ holder, way }) => [holder.name, way]);
    assert.deepEqual(ways, [
      ["l", [left, base]],
      ["r", [right, base]],
    ]);
    assert.deepEqual(whyItemStays(store, items, alone, options), []);
    assert.deepEqual(referrersOf(items, base, false), [left, right].sort());
    assert.deepEqual(referrersOf(items, base, true), [left, right, top].sort());
    const sizes = closureSizes(items, [top]);
    assert.equal(sizes[0]!.path, top);
    assert.equal(
      sizes[0]!.closureBytes,
      sizes.reduce((sum, { bytes }) => sum + bytes, 0),
    );
    symlinkSync(items.physicalPath(top), join(folder, "result"));
    for (const said of [top, basename(top), items.physicalPath(top), join(folder, "result"), `${top}/inside`]) {
      assert.equal(findItem(store, items, said).path, top);
    }
    for (const said of ["/etc/passwd", "nothing", `${top}x`]) {
      assert.throws(() => findItem(store, items, said), code("no-such-item"));
    }
  }));

test("a link holds while it is there and leads into the store; a file that is no link is not replaced", () =>
  withStore(async (place) => {
    const { store, items, folder } = place;
    const { left, alone } = await diamond(place);
    const link = join(folder, "result");
    await addLinkRoot(store, items, link, left);
    await addLinkRoot(store, items, link, alone);
    store.release();
    assert.equal(readFileSync(link, "utf8"), "alone");
    await collect(store, items, options);
    assert.deepEqual(
      [...items.all()].map(({ path }) => path),
      [alone],
    );
    rmSync(link);
    assert.equal(readRoots(store)[0]!.isGone, true);
    await collect(store, items, options);
    assert.deepEqual([[...items.all()], readRoots(store)], [[], []]);
    writeFileSync(link, "precious");
    const path = await items.addText("new", "new");
    await assert.rejects(addLinkRoot(store, items, link, path), code("link-exists"));
    await assert.rejects(addRoot(store, items, "x", left), code("missing-item"));
    assert.equal(readFileSync(link, "utf8"), "precious");
  }));

test("what a process holds, what is new, and what runs from the store stays", () =>
  withStore(async (place) => {
    const { store, items } = place;
    const { top, alone } = await diamond(place);
    const user = openStore(store.directory);
    await user.hold([top]);
    assert.equal((await collect(store, items, options)).items, 1);
    assert.equal(items.record(alone), undefined);
    user.release();
    assert.equal(collectable(store, items, { ...options, now }).items.length, 0);
    assert.equal(collectable(store, items, options).items.length, 4);
    const program = storePath("output:out", "00".repeat(32), "program");
    const aside = store.temporaryPath();
    copyFileSync("/usr/bin/sleep", aside);
    chmodSync(aside, 0o755);
    await items.register(program, aside, { mayReferTo: [] });
    store.release();
    const child = spawn(items.physicalPath(program), ["30"]);
    try {
      await new Promise((resolve) => child.once("spawn", resolve));
      assert.equal((await collect(store, items, options)).items, 4);
      assert.ok(items.record(program));
    } finally {
      child.kill("SIGKILL");
      await new Promise((resolve) => child.once("close", resolve));
    }
    assert.equal((await collect(store, items, options)).items, 1);
  }));

test("who begins to use an item while others are taken waits for them, and keeps it", () =>
  withStore(async (place) => {
    const { store, items } = place;
    const { top } = await diamond(place);
    const user = openStore(store.directory);
    const sweep = (await store.lock(sweepLock))!;
    let isHeld = false;
    const holding = user.hold([top]).then(() => {
      isHeld = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(isHeld, false);
    sweep.release();
    await holding;
    // Marked before the lease: the sweep itself must see it.
    const marked = collectable(store, items, options);
    assert.equal(marked.items.length, 1);
    let first = true;
    const late = openStore(store.directory);
    user.release();
    const signal = {
      throwIfAborted: () => {
        // Called between marking and each step of taking away.
        if (first) void late.hold([top]);
        first = false;
      },
    } as AbortSignal;
    const done = await collect(store, items, { ...options, signal });
    assert.deepEqual([done.items, done.spared], [1, 4]);
    assert.ok(items.record(top));
    assert.deepEqual(items.verify(), []);
  }));

test("a lease that is released during a collection is left for it, and dead ones go before", () =>
  withStore(async (place) => {
    const { store, items } = place;
    const { top } = await diamond(place);
    const leases = () => readdirSync(join(store.directory, "leases"));
    const user = openStore(store.directory);
    await user.hold([top]);
    const collection = store.tryLock(collectionLock)!;
    user.release();
    assert.equal(leases().length, 1);
    openStore(store.directory);
    assert.equal(leases().length, 1);
    await assert.rejects(collect(store, items, options), code("collection-runs"));
    collection.release();
    const [name] = leases();
    // Its owner, as far as anybody can tell, is gone.
    const dead = name!.replace(/-\d+\./, "-1.");
    writeFileSync(join(store.directory, "leases", dead), `since 1\n${basename(top)}\n`);
    rmSync(join(store.directory, "leases", name!));
    assert.equal((await collect(store, items, options)).items, 5);
    assert.deepEqual(leases(), []);
  }));

test("only so much is freed as was asked for, in an order that leaves nothing broken", () =>
  withStore(async (place) => {
    const { store, items } = place;
    await diamond(place);
    for (let left = 4; left >= 0; left--) {
      assert.equal((await collect(store, items, { ...options, freeBytes: 1 })).items, 1);
      assert.equal([...items.all()].length, left);
      assert.deepEqual(items.verify(), []);
    }
  }));

test("contents without a record, and records that cannot be read, are taken", () =>
  withStore(async (place) => {
    const { store, items } = place;
    const { top, alone } = await diamond(place);
    rmSync(join(store.directory, "records", basename(top)));
    writeFileSync(join(store.directory, "records", basename(alone)), "{");
    await collect(store, items, options);
    assert.deepEqual(readdirSync(join(store.directory, "store")), []);
    assert.deepEqual(readdirSync(join(store.directory, "records")), []);
  }));

test("segments and archives stay while a known lock lists them, or somebody has used them of late", () =>
  withStore(async ({ store, items, folder }) => {
    const ids = ["a", "b", "c"].map((digit) => digit.repeat(64)) as [string, string, string];
    for (const id of ids) {
      const writer = store.newSegment(id);
      writer.append(Buffer.from(id));
      writer.pad();
      await writer.publish([]);
      writeFileSync(store.archivePath(id), "archive");
    }
    const lock = join(folder, "meso.lock");
    writeFileSync(lock, JSON.stringify({ text: { sha256: "d".repeat(64) } }));
    writeFileSync(join(store.indicesDirectory, `${"d".repeat(64)}.txt`), `Package: x\nSHA256: ${ids[0]}\nSize: 1\n`);
    writeFileSync(join(store.indicesDirectory, `${"e".repeat(64)}.txt`), `Package: y\nSHA256: ${ids[1]}\n`);
    addLockRoot(store, lock);
    store.remember("key", "value");
    mkdirSync(join(store.directory, "logs"), { recursive: true });
    writeFileSync(join(store.directory, "logs", "x.drv.log"), "");
    const long = now - 60 * day;
    const age = (path: string) => utimesSync(path, long, long);
    for (const id of ids) age(store.segmentDataPath(id));
    const present = { ...options, now };
    const kinds = () => collectable(store, items, present).unused.map(({ kind }) => kind);
    assert.deepEqual(kinds(), ["segment", "segment"]);
    // Used by a process: written on the segment, and whatever it may use from then on is spared.
    const user = openStore(store.directory);
    assert.ok(user.findSegment(ids[1]));
    assert.deepEqual(kinds(), ["segment"]);
    const later = { ...options, now: now + 300 * day };
    assert.deepEqual(
      collectable(store, items, later).unused.map(({ path }) => basename(path)),
      [ids[2]],
    );
    user.release();
    assert.equal((await collect(store, items, later)).files, 8);
    assert.deepEqual(readdirSync(join(store.directory, "segments")), [ids[0]]);
    assert.deepEqual(readdirSync(store.indicesDirectory), [`${"d".repeat(64)}.txt`]);
    assert.equal(store.recall("key"), undefined);
    rmSync(lock);
    await collect(store, items, later);
    assert.ok(!existsSync(store.segmentDataPath(ids[0])));
    assert.deepEqual(readdirSync(store.indicesDirectory), []);
  }));
