import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { addTools } from "./build-place.testing.ts";
import { collect } from "./collect.ts";
import { openItems } from "./items.ts";
import { removeTree } from "./remove-tree.ts";
import { addRoot, readRoots } from "./roots.ts";
import { openStore } from "./store.ts";

/** A minute and more by hand, to look for what is rare. */
const seconds = Number(process.env.MESO_STRESS_SECONDS ?? 10);
const child = fileURLToPath(new URL("collect-while-building-child.testing.ts", import.meta.url));

test("builds go on while collections do and any of them is killed: all is whole, nothing held is lost", async () => {
  const folder = mkdtempSync(join(tmpdir(), "meso-stress-"));
  const directory = join(folder, "store");
  const journal = join(folder, "journal");
  const running = new Map<string, { readonly process: ChildProcess; readonly ended: Promise<void> }>();
  let isOver = false;
  let seed = 1;
  const failures: string[] = [];
  try {
    const store = openStore(directory);
    const items = openItems(store);
    const tools = await addTools(items, folder);
    await addRoot(store, items, "tools", tools);
    store.release();
    writeFileSync(journal, "");

    const start = (name: string, role: string): void => {
      const started = spawn(process.execPath, [child, role, directory, tools, journal, String(seed++)], {
        stdio: ["ignore", "ignore", "pipe"],
      });
      let said = "";
      started.stderr.on("data", (piece: Buffer) => {
        said += piece.toString();
      });
      const ended = new Promise<void>((resolve) => {
        started.once("close", (_, signal) => {
          if (signal !== "SIGKILL") failures.push(`${name}: ${said}`);
          if (!isOver) start(name, role);
          resolve();
        });
      });
      running.set(name, { process: started, ended });
    };
    for (let i = 0; i < 4; i++) start(`builder ${i}`, "build");
    start("collector", "collect");
    const end = performance.now() + seconds * 1000;
    while (performance.now() < end && failures.length === 0) {
      await sleep(100 + Math.random() * 500);
      const names = [...running.keys()];
      running.get(names[Math.floor(Math.random() * names.length)]!)!.process.kill("SIGKILL");
    }
    isOver = true;
    for (const { process, ended } of running.values()) {
      process.kill("SIGKILL");
      await ended;
    }
    assert.deepEqual(failures, []);

    const after = openStore(directory);
    const left = openItems(after);
    assert.deepEqual(left.verify(), []);
    const roots = readRoots(after);
    for (const { item } of roots) left.closure([`${left.prefix}/${item}`]);
    const now = Math.floor(Date.now() / 1000) + 1;
    await collect(after, left, { now, graceSeconds: 0, unusedSeconds: 0 });
    assert.deepEqual(left.verify(), []);
    const kept = new Set([...left.all()].map(({ path }) => basename(path)));
    for (const { item } of roots) assert.ok(kept.has(item!));
    const lines = readFileSync(journal, "utf8").split("\n");
    const count = (pattern: RegExp): number => lines.filter((line) => pattern.test(line)).length;
    assert.ok(count(/^built/) > 0, "something was built");
    assert.ok(count(/^collected [1-9]/) > 0, "something was collected");
    assert.ok(roots.length > 1, "something was held");
    if (process.env.MESO_STRESS_SECONDS) {
      console.log(
        `${count(/^built/)} builds, ${count(/^collected/)} collections, ${seed - 6} kills, ${roots.length} roots`,
      );
    }
  } finally {
    isOver = true;
    for (const { process } of running.values()) process.kill("SIGKILL");
    await Promise.all([...running.values()].map(({ ended }) => ended));
    removeTree(folder);
  }
});
