import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Items, openItems } from "./items.ts";
import { narHash } from "./nar.ts";
import { removeTree } from "./remove-tree.ts";
import { referenceScanner } from "./scan-references.ts";
import { openStore, type Store } from "./store.ts";
import { storePath } from "./store-path.ts";

async function withItems(body: (place: { store: Store; items: Items; folder: string }) => Promise<void>) {
  const folder = mkdtempSync(join(tmpdir(), "meso-items-"));
  try {
    const store = openStore(join(folder, "store"));
    await body({ store, items: openItems(store), folder });
  } finally {
    removeTree(folder);
  }
}

const somePath = (name: string) => storePath("output:out", "00".repeat(32), name);

test("texts get the paths that Nix gives them", () =>
  withItems(async ({ store }) => {
    const items = openItems(store, "/nix/store");
    // Vectors of tvix and go-nix.
    const foo = await items.addText("foo", "bar");
    assert.equal(foo, "/nix/store/vxjiwkjkn7x4079qvh1jkl5pn05j2aw0-foo");
    const baz = await items.addText("baz", foo, [foo]);
    assert.equal(baz, "/nix/store/5xd714cbfnkz02h2vbsj4fm03x3f15nf-baz");
    assert.deepEqual(items.record(baz)?.references, [foo]);
    assert.deepEqual(items.closure([baz]), [baz, foo].sort());
    assert.deepEqual(items.verify(), []);
  }));

test("a tree is added without what the host alone knows: read-only, times 1, no setuid", () =>
  withItems(async ({ items, folder }) => {
    const tree = join(folder, "tree");
    mkdirSync(join(tree, "bin"), { recursive: true });
    writeFileSync(join(tree, "bin/run"), "#!/bin/sh\n");
    chmodSync(join(tree, "bin/run"), 0o4755);
    symlinkSync("bin/run", join(tree, "link"));
    const path = await items.addTree("tree", tree);
    const place = items.physicalPath(path);
    const modeAndTime = (name: string) => {
      const { mode, mtimeMs } = lstatSync(join(place, name));
      return [mode & 0o7777, mtimeMs];
    };
    assert.deepEqual(modeAndTime("."), [0o555, 1000]);
    assert.deepEqual(modeAndTime("bin"), [0o555, 1000]);
    assert.deepEqual(modeAndTime("bin/run"), [0o555, 1000]);
    assert.equal(lstatSync(join(place, "link")).mtimeMs, 1000);
    assert.equal(items.record(path)?.narSha256, narHash(tree).sha256);
    assert.equal(await items.addTree("tree", tree), path);
    assert.equal([...items.all()].length, 1);
  }));

test("what is made is known by what occurs in it; setuid files and pipes are refused", () =>
  withItems(async ({ store, items }) => {
    const needed = await items.addText("needed", "x");
    const unneeded = await items.addText("unneeded", "y");
    const path = somePath("made");
    const made = () => {
      const folder = store.temporaryPath();
      mkdirSync(folder);
      symlinkSync(needed, join(folder, "link"));
      writeFileSync(join(folder, "self"), `in ${path}/bin`);
      return folder;
    };
    const setuid = made();
    chmodSync(join(setuid, "self"), 0o4755);
    await assert.rejects(items.register(path, setuid, { mayReferTo: [] }), /setuid/);
    const pipe = made();
    assert.equal(spawnSync("mkfifo", [join(pipe, "pipe")]).status, 0);
    await assert.rejects(items.register(path, pipe, { mayReferTo: [] }), /neither a file/);
    assert.equal(items.record(path), undefined);
    const record = await items.register(path, made(), { mayReferTo: [unneeded, needed], deriver: somePath("x.drv") });
    assert.deepEqual(record.references, [needed, path].sort());
    assert.deepEqual(items.record(path), record);
  }));

test("an item without its record, or with a damaged one, is none, and is made again", () =>
  withItems(async ({ items, store, folder }) => {
    writeFileSync(join(folder, "file"), "contents");
    const path = await items.addTree("file", join(folder, "file"));
    const records = join(store.directory, "records");
    truncateSync(join(records, readdirSync(records)[0]!), 20);
    assert.equal(items.record(path), undefined);
    assert.equal(items.verify().length, 1);
    assert.equal(await items.addTree("file", join(folder, "file")), path);
    assert.deepEqual(items.verify(), []);
  }));

test("verify tells changed contents and lost references", () =>
  withItems(async ({ items }) => {
    const one = await items.addText("one", "1");
    const two = await items.addText("two", one, [one]);
    const place = items.physicalPath(one);
    chmodSync(place, 0o644);
    writeFileSync(place, "2");
    assert.match(items.verify([one])[0]!.problem, /contents have SHA-256/);
    assert.deepEqual(items.verify([two]), []);
    removeTree(place);
    assert.match(items.verify([one])[0]!.problem, /gone/);
    assert.throws(() => items.record("/meso/store/../../etc/passwd"), /no path of an item/);
  }));

test("hashes are found wherever pieces end, and only whole", () => {
  const hash = "0123456789abcdfghijklmnpqrsvwxyz";
  const other = "z".repeat(32);
  const text = Buffer.from(`${"a".repeat(70)}${hash}${"b".repeat(5)} e${other.slice(1)}e`);
  for (let size = 1; size < 80; size++) {
    const scanner = referenceScanner([hash, other]);
    for (let at = 0; at < text.length; at += size) scanner.pass(text.subarray(at, at + size));
    assert.deepEqual([...scanner.found], [hash], `pieces of ${size} bytes`);
  }
});

test("registering an item costs the same however many there are", () =>
  withItems(async ({ items, store }) => {
    /** Milliseconds; the median, since a busy machine makes single ones slow. */
    const register = async (from: number, count: number) => {
      const times: number[] = [];
      for (let i = from; i < from + count; i++) {
        const start = performance.now();
        await items.addText(`t${i}`, `${i}`);
        times.push(performance.now() - start);
      }
      return times.sort((a, b) => a - b)[count >> 1]!;
    };
    const first = await register(0, 50);
    const records = join(store.directory, "records");
    const template = readFileSync(join(records, readdirSync(records)[0]!), "utf8");
    // Records alone: the registry's size is what counts here.
    for (let i = 0; i < 5_000; i++) writeFileSync(join(records, `${String(i).padStart(32, "0")}-filler`), template);
    const later = await register(1000, 50);
    assert.ok(later < first * 5 + 2, `${later.toFixed(2)} ms an item after ${first.toFixed(2)} ms`);
  }));
