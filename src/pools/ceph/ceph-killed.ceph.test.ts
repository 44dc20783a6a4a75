import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { assertReads, write } from "../pool-disks.testing.ts";
import { groupEnds } from "../pool-other-process.testing.ts";
import { type SampleCentre, sampleCentre } from "../pool-sample.testing.ts";
import type { FreshPool } from "../pool-suite-context.testing.ts";
import { sharedCluster } from "./ceph-pool.testing.ts";
import type { CephSettings } from "./settings.ts";

const cluster = sharedCluster();
/** As patient with the dead as real ones are: only who shuts them out is quick. */
const patientCluster = sharedCluster(30);
const kills = 12;

describe("a killed process", () => {
  let centre: SampleCentre;
  let place: FreshPool;
  before(async () => {
    centre = sampleCentre();
    place = await cluster.fresh();
  });
  after(async () => {
    centre?.remove();
    await cluster.stop();
    await patientCluster.stop();
  });
  const rbd = async (...args: string[]): Promise<string> => (await cluster.start()).run("rbd", args);
  const poolName = () => (place.settings as CephSettings).pool;

  it("leaves nothing that is half made, moved or taken away, at a dozen moments of all verbs", async () => {
    const { pool } = place;
    const published = centre.publication("web", 1);
    await pool.publish([published], centre.sources);
    for (let i = 0; i < kills; i++) {
      const child = started(place, "turn", published.name);
      await child.ready;
      await sleep(30 + i * 47);
      child.kill(i % 2 === 0);
      await child.ended;
      await groupEnds(child.pid);
      const images = await pool.list();
      for (const { name, about, size } of images) {
        assert.ok(about, `${name} is ours, with all that is said of it`);
        assert.ok(size === 16 << 20 || size === published.recipe.size, `${name} has ${size} bytes`);
      }
      const names = new Set(images.map(({ name }) => name));
      for (const { name, parent } of images) {
        if (/^[cr]-/.test(name)) assert.equal(parent, published.name);
        if (/^t-\d+$/.test(name)) assert.ok(names.has(name.replace("t-", "v-")) || names.has(name.replace("t-", "w-")));
      }
      // The same again, to its end: every name can be had.
      for (const prefix of ["t", "c", "v"]) {
        for (const name of names) if (name.startsWith(prefix)) await removed(place, name);
      }
    }
    for (const { name } of [...(await pool.list())].reverse()) if (name !== published.name) await removed(place, name);
    await pool.sweep();
    const left = JSON.parse(await rbd("ls", "--format", "json", poolName())) as string[];
    assert.deepEqual(
      left.map((name) => name.replace(/base\..*/, "base")).sort(),
      [published.name, "mesoforge-base"].sort(),
    );
    await assertReads(pool, published.name, published.recipe, centre.rawFile(published.recipe));
    // Nothing hangs on it any more, and neither has it a snapshot that was made for a clone.
    assert.deepEqual(await pool.snapshots(published.name), []);
    const snapshots = JSON.parse(await rbd("snap", "ls", "--format", "json", `${poolName()}/${published.name}`));
    assert.equal((snapshots as unknown[]).length, 1);
  });

  it("holds nobody up, and what it still has on the way is refused", async () => {
    const patient = await patientCluster.fresh();
    const { pool } = patient;
    await pool.publish([centre.publication("web", 1)], centre.sources);
    const { run } = await patientCluster.start();
    const names = JSON.parse(await run("rbd", ["ls", "--format", "json", (patient.settings as CephSettings).pool]));
    const base = (names as string[]).find((name) => name.startsWith("mesoforge-base."))!;
    const child = started(patient, "writeSlowly", base);
    await child.ready;
    const helper = child.helper();
    assert.ok(helper, "the child has a helper");
    // The helper cannot notice that it is alone, as on a host that hangs; it has the base open and its lock.
    process.kill(helper, "SIGSTOP");
    child.kill(false);
    await child.ended;
    try {
      const began = performance.now();
      const updated = centre.publication("web", 2);
      await pool.publish([updated], centre.sources);
      const seconds = (performance.now() - began) / 1000;
      assert.ok(seconds < 20, `the next publication took ${seconds.toFixed(1)} s`);
      await assertReads(pool, updated.name, updated.recipe, centre.rawFile(updated.recipe));
      process.kill(helper, "SIGCONT");
      await gone(helper);
      await assertReads(pool, updated.name, updated.recipe, centre.rawFile(updated.recipe));
      const third = centre.publication("dns", 4);
      await pool.publish([third], centre.sources);
      await assertReads(pool, third.name, third.recipe, centre.rawFile(third.recipe));
    } finally {
      if (isThere(helper)) process.kill(helper, "SIGKILL");
    }
  });

  it("does not shut out a machine: its disk is written on while its pool is swept", async () => {
    const { pool } = place;
    const published = centre.publication("web", 1);
    await pool.clone({ image: published.name }, "vm-1-root", { ...published.about, role: "root" });
    await write(pool, "vm-1-root", { at: 4096, length: 4096, byte: 1 });
    assert.deepEqual(await pool.sweep(), []);
    await write(pool, "vm-1-root", { at: 8192, length: 4096, byte: 2 });
  });
});

/** As long as the cluster still believes the dead to be there. */
async function removed({ pool }: FreshPool, name: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return await pool.remove(name);
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === "image-has-children" && tries < 60) await removeClones(pool, name);
      else if (code !== "image-in-use" || tries >= 60) throw error;
      await sleep(500);
    }
  }
}

async function removeClones(pool: FreshPool["pool"], name: string): Promise<void> {
  for (const image of await pool.list()) {
    if (image.parent === name) await pool.remove(image.name).catch(() => {});
  }
  await pool.sweep();
}

function started(place: FreshPool, ...words: readonly string[]) {
  const program = fileURLToPath(new URL("ceph-child.testing.ts", import.meta.url));
  const child = spawn(process.execPath, [program, JSON.stringify(place.settings), ...words], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const ready = new Promise<void>((resolve, reject) => {
    child.stdout.setEncoding("utf8").on("data", (text: string) => text.includes("ready") && resolve());
    child.once("close", () => reject(new Error("it ended by itself")));
  });
  return {
    pid: child.pid!,
    ready,
    ended,
    kill: (withHelper: boolean) => process.kill(withHelper ? -child.pid! : child.pid!, "SIGKILL"),
    helper: (): number | undefined =>
      readdirSync("/proc")
        .map(Number)
        .find((pid) => parentOf(pid) === child.pid && commandOf(pid).includes("rbd-helper.py")),
  };
}

function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return undefined;
  }
}

function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, "latin1");
}

function isThere(pid: number): boolean {
  return parentOf(pid) !== undefined;
}

async function gone(pid: number): Promise<void> {
  for (let tries = 0; isThere(pid); tries++) {
    assert.ok(tries < 300, "the helper outlives its owner");
    await sleep(100);
  }
}
