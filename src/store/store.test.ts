import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { sha256 } from "../base/hash.ts";
import { extractTree } from "./extract-tree.ts";
import type { FileTree, TreeEntry } from "./file-tree.ts";
import { ownerTag } from "./owner.ts";
import { readContent, readSegmentFile } from "./read-content.ts";
import { defaultStoreDirectory, openStore } from "./store.ts";
import { type NewSegmentEntry, writeSegment } from "./write-segment.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-store-"));
after(() => rmSync(folder, { recursive: true }));
let counter = 0;
const freshStore = () => openStore(join(folder, String(counter++)));

const attributes = { mode: 0o644, uid: 0, gid: 0, mtime: 1 };
const sample: readonly NewSegmentEntry[] = [
  { ...attributes, mode: 0o755, path: "/", kind: "directory" },
  { ...attributes, path: "/empty", kind: "file", bytes: new Uint8Array(0) },
  {
    ...attributes,
    path: "/short",
    kind: "file",
    bytes: Buffer.from("abc"),
    xattrs: { "user.x": Uint8Array.of(0, 255) },
  },
  { ...attributes, path: "/page", kind: "file", bytes: new Uint8Array(4096).fill(7) },
  { ...attributes, path: "/long", kind: "file", bytes: new Uint8Array(300_000).fill(9) },
  { ...attributes, path: "/link", kind: "symlink", target: "short" },
];
const id = sha256("sample");

/** A process number that was in use and is free again. */
function deadProcess(): string {
  const { pid } = spawnSync("true");
  return ownerTag().split("-").toSpliced(2, 2, String(pid), "1").join("-");
}

test("a segment comes back as it was written", async () => {
  const store = freshStore();
  const table = await writeSegment(store, id, sample);
  assert.deepEqual(store.readSegmentTable(id), table);
  assert.deepEqual(
    table.entries.flatMap((entry) => (entry.kind === "file" ? [entry.offset] : [])),
    [0, 0, 4096, 8192],
  );
  const data = readFileSync(store.segmentDataPath(id));
  assert.equal(data.length, table.dataBytes);
  assert.equal(table.dataBytes, 4096 * (1 + 1 + 74));
  assert.equal(sha256(data), table.dataSha256);
  assert.ok(data.subarray(3, 4096).every((byte) => byte === 0));
  for (const [i, file] of sample.entries()) {
    if (file.kind !== "file") continue;
    assert.deepEqual(Buffer.from(readSegmentFile(store, id, table.entries[i]!)), Buffer.from(file.bytes), file.path);
  }
  const xattrs = store.readSegmentTable(id).entries[2]?.xattrs;
  assert.deepEqual(xattrs, { "user.x": Uint8Array.of(0, 255) });
});

test("the data does not depend on how it was cut into pieces", async () => {
  const store = freshStore();
  const bytes = Uint8Array.from({ length: 700_001 }, (_, i) => (i * 7) % 251);
  const hashes = [1, 4096, 262_144, 262_145, 700_001].map(async (step) => {
    const writer = store.newSegment(sha256(String(step)));
    for (let at = 0; at < bytes.length; at += step) writer.append(bytes.subarray(at, at + step));
    writer.pad();
    return (await writer.publish([])).dataSha256;
  });
  const padded = new Uint8Array(4096 * 171);
  padded.set(bytes);
  assert.deepEqual(new Set(await Promise.all(hashes)), new Set([sha256(padded)]));
});

test("what is damaged is told, removed and made again", async () => {
  const store = freshStore();
  assert.throws(() => store.readSegmentTable(id), { code: "no-segment" });
  assert.equal(await store.verifySegment(id), false);
  const table = await writeSegment(store, id, sample);
  assert.equal(await store.verifySegment(id), true);

  const file = store.segmentDataPath(id);
  const data = readFileSync(file);
  data[5000]! ^= 1;
  writeFileSync(file, data);
  assert.equal(await store.verifySegment(id), false);
  assert.equal(store.hasSegment(id), false);

  await writeSegment(store, id, sample);
  truncateSync(file, 4096);
  assert.throws(() => store.readSegmentTable(id), { code: "damaged-segment" });
  const content = { kind: "segment", segment: id, offset: 4096 } as const;
  assert.throws(() => readContent(store, content, 4096), { code: "damaged-segment" });
  assert.deepEqual(await writeSegment(store, id, sample), table);
  writeFileSync(join(file, "..", "table.json"), "{");
  assert.throws(() => store.readSegmentTable(id), { code: "damaged-segment" });
  assert.deepEqual(await writeSegment(store, id, sample), table);
});

test("of two that make the same segment one stays, and nothing is left over", async () => {
  const store = freshStore();
  const tables = await Promise.all([writeSegment(store, id, sample), writeSegment(store, id, sample)]);
  assert.deepEqual(tables[0], tables[1]);
  assert.deepEqual(readdirSync(join(store.directory, "tmp")), []);
});

test("opening sweeps what dead processes left, and nothing else", () => {
  const store = freshStore();
  const ours = store.temporaryPath();
  const theirs = join(store.directory, "tmp", `${deadProcess()}.0`);
  const unknown = join(store.directory, "tmp", "00000000-1-1-1.0");
  const strange = join(store.directory, "tmp", "notes-1-2-3.txt");
  // Of another container, at work for long: it renews its lease.
  const working = join(store.directory, "tmp", "00000000-1-1-2.0");
  writeFileSync(join(store.directory, "leases", "00000000-1-1-2.0"), "since 1\n");
  const paths = [ours, theirs, unknown, strange, working];
  for (const path of paths) mkdirSync(join(path, "inside"), { recursive: true });
  for (const path of paths) utimesSync(path, 1, 1);
  utimesSync(unknown, new Date(), new Date());
  openStore(store.directory);
  assert.deepEqual(
    paths.map((path) => existsSync(path)),
    [true, false, true, true, true],
  );
});

test("a lock keeps others out until it is released; a dead holder's is taken over", async () => {
  const store = freshStore();
  const held = await store.lock("a");
  assert.equal(store.tryLock("a"), undefined);
  const messages: string[] = [];
  await assert.rejects(store.lock("a", { patience: 1200, onWait: (message) => messages.push(message) }), {
    code: "store-busy",
  });
  assert.equal(messages.length, 1);
  assert.match(messages[0]!, new RegExp(`process ${process.pid}`));
  const next = store.lock("a");
  held.release();
  (await next).release();
  assert.deepEqual(readdirSync(join(store.directory, "locks")), []);

  symlinkSync(deadProcess(), join(store.directory, "locks", "b"));
  assert.ok(store.tryLock("b"));
  assert.equal(readlinkSync(join(store.directory, "locks", "b")), ownerTag());
});

test("derived values are computed once; a spoilt file is computed again", async () => {
  const store = freshStore();
  let computed = 0;
  const value = () => store.cached("key", () => ({ a: [1, "ü"], n: ++computed }));
  assert.deepEqual(await value(), { a: [1, "ü"], n: 1 });
  assert.deepEqual(await value(), { a: [1, "ü"], n: 1 });
  const [bucket] = readdirSync(join(store.directory, "cache"));
  const [file] = readdirSync(join(store.directory, "cache", bucket!));
  writeFileSync(join(store.directory, "cache", bucket!, file!), '{"key":"ke');
  assert.deepEqual(await value(), { a: [1, "ü"], n: 2 });
});

test("the default place follows the environment", () => {
  const person = { isRoot: false };
  assert.equal(defaultStoreDirectory({ MESO_STORE: "/x", HOME: "/h" }, person), "/x");
  assert.equal(defaultStoreDirectory({ XDG_DATA_HOME: "/d", HOME: "/h" }, person), "/d/meso");
  assert.equal(defaultStoreDirectory({ XDG_DATA_HOME: "d", HOME: "/h" }, person), "/h/.local/share/meso");
  assert.equal(defaultStoreDirectory({ HOME: "/h" }, { isRoot: true, systemStore: folder }), folder);
  assert.equal(defaultStoreDirectory({ HOME: "/h" }, { isRoot: true, systemStore: "/none" }), "/h/.local/share/meso");
  assert.throws(() => defaultStoreDirectory({ MESO_STORE: "x" }, person), { code: "store-unusable" });
  assert.throws(() => defaultStoreDirectory({}, person), { code: "store-unusable" });
  writeFileSync(join(folder, "file"), "");
  assert.throws(() => openStore(join(folder, "file")), { code: "store-unusable" });
});

test("a tree is extracted with contents, links and permissions", async () => {
  const store = freshStore();
  const { entries } = await writeSegment(store, id, sample);
  const long = entries.find((entry) => entry.path === "/long")!;
  assert.ok(long.kind === "file");
  const origin = "test";
  const tree: FileTree = new Map<string, TreeEntry>([
    ["/d/second", { ...attributes, kind: "hardlink", target: "/d/long", origin }],
    [
      "/d/long",
      {
        ...attributes,
        mode: 0o4751,
        kind: "file",
        size: long.size,
        content: { kind: "segment", segment: id, offset: long.offset },
        origin,
      },
    ],
    ["/d", { ...attributes, mode: 0o555, kind: "directory", origin }],
    ["/", { ...attributes, mode: 0o755, kind: "directory", origin }],
    ["/out", { ...attributes, kind: "symlink", target: "/etc/passwd", origin }],
    [
      "/b",
      {
        ...attributes,
        mode: 0o600,
        kind: "file",
        size: 2,
        content: { kind: "bytes", bytes: Buffer.from("hi") },
        origin,
      },
    ],
  ]);
  const place = join(folder, "tree");
  extractTree(store, tree, place);
  assert.ok(readFileSync(join(place, "d/long")).equals(new Uint8Array(300_000).fill(9)));
  assert.equal(lstatSync(join(place, "d/long")).mode & 0o7777, 0o751);
  assert.equal(lstatSync(join(place, "d/long")).ino, lstatSync(join(place, "d/second")).ino);
  assert.equal(lstatSync(join(place, "d")).mode & 0o7777, 0o555);
  assert.equal(readlinkSync(join(place, "out")), "/etc/passwd");
  assert.equal(readFileSync(join(place, "b"), "utf8"), "hi");

  const climbing = new Map<string, TreeEntry>([...tree, ["/out/x", tree.get("/b")!]]);
  assert.throws(() => extractTree(store, climbing, join(folder, "tree2")), /not below a directory/);
});
