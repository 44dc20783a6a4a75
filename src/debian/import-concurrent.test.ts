import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { sha256 } from "../base/hash.ts";
import { openStore, type Store } from "../store/store.ts";
import { ar, control, tar, xz } from "./deb.testing.ts";
import { importAll } from "./import-all.ts";
import type { DebianArchive } from "./import-batch.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-concurrent-"));
after(() => rmSync(folder, { recursive: true }));
const program = fileURLToPath(new URL("import-child.testing.ts", import.meta.url));

/** Large and small ones, so that there are batches of one and of many. */
const archives: DebianArchive[] = Array.from({ length: 30 }, (_, i) => {
  const noise = Buffer.from(Array.from({ length: i < 2 ? 20_000 : 500 }, (_, k) => sha256(`${i} ${k}`)).join(""));
  const data = tar([
    { name: "./", type: "5" },
    { name: "./noise", content: noise },
    { name: "./small", content: String(i) },
  ]);
  const bytes = ar([
    ["debian-binary", "2.0\n"],
    ["control.tar.xz", xz(tar([{ name: "./control", content: control }]), "-0")],
    ["data.tar.xz", xz(data, "-0")],
  ]);
  const file = join(folder, `${i}.deb`);
  writeFileSync(file, bytes);
  return { file, sha256: sha256(bytes), size: bytes.length };
});
const list = join(folder, "list.json");
writeFileSync(list, JSON.stringify(archives));

const reference = await importAll(openStore(join(folder, "reference")), archives);
const hashes = reference.map((table) => table.dataSha256);

function start(directory: string): ChildProcess {
  return spawn(process.execPath, [program, directory, list], { stdio: ["ignore", "pipe", "inherit"] });
}

function assertClean(store: Store): void {
  for (const place of ["tmp", "locks"]) assert.deepEqual(readdirSync(join(store.directory, place)), [], place);
}

test("processes that import the same archives share the work", async () => {
  const directory = join(folder, "shared");
  const results = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const child = start(directory);
      let output = "";
      child.stdout!.on("data", (text: Buffer) => {
        output += text;
      });
      const [status] = await once(child, "close");
      assert.equal(status, 0);
      return JSON.parse(output.slice("start\n".length)) as { written: number; hashes: string[] };
    }),
  );
  for (const result of results) assert.deepEqual(result.hashes, hashes);
  assert.equal(
    results.reduce((sum, result) => sum + result.written, 0),
    archives.length,
  );
  assertClean(openStore(directory));
});

test("killed at any moment, an import leaves only whole segments, and the next one completes", {
  timeout: 600_000,
}, async () => {
  const moments = 20;
  const began = performance.now();
  await importAll(openStore(join(folder, "timed")), archives);
  const duration = performance.now() - began;
  let interrupted = 0;
  for (let moment = 0; moment < moments; moment++) {
    const directory = join(folder, `killed-${moment}`);
    const child = start(directory);
    const ended = once(child, "close");
    await once(child.stdout!, "data");
    await sleep((moment / moments) * duration * 1.5);
    child.kill("SIGKILL");
    await ended;

    const store = openStore(directory);
    assert.deepEqual(readdirSync(join(directory, "tmp")), []);
    const visible = readdirSync(join(directory, "segments"));
    if (visible.length < archives.length) interrupted++;
    for (const id of visible) assert.equal(await store.verifySegment(id), true, `segment ${id} at moment ${moment}`);
    assert.deepEqual(await importAll(store, archives), reference);
    assertClean(store);
    rmSync(directory, { recursive: true });
  }
  assert.ok(interrupted > moments / 4, `only ${interrupted} of ${moments} imports were interrupted`);
});

test("an abort leaves nothing behind", async () => {
  const store = openStore(join(folder, "aborted"));
  const controller = new AbortController();
  const running = importAll(store, archives, { signal: controller.signal, parallel: 2 });
  setImmediate(() => controller.abort());
  await assert.rejects(running, { name: "AbortError" });
  assertClean(store);
  assert.deepEqual(await importAll(store, archives), reference);
});

test("progress ends with everything done; a second import has none", async () => {
  const store = openStore(join(folder, "progress"));
  const seen: number[] = [];
  let last: unknown;
  await importAll(store, [...archives, archives[0]!], {
    onProgress: (progress) => {
      seen.push(progress.archivesDone);
      last = progress;
    },
  });
  const bytes = archives.reduce((sum, archive) => sum + archive.size, 0);
  assert.deepEqual(last, { archivesDone: 30, archivesTotal: 30, bytesDone: bytes, bytesTotal: bytes, entries: 90 });
  assert.deepEqual(
    seen,
    Array.from({ length: 30 }, (_, i) => i + 1),
  );
  const again = await importAll(store, archives, { onProgress: () => assert.fail("nothing was missing") });
  assert.deepEqual(again, reference);
});
