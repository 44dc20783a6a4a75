import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startCephCluster } from "./ceph-cluster.ts";

describe("a Ceph cluster for tests", () => {
  it("runs beside another, knows its users and pools, and leaves nothing", async () => {
    const options = {
      pools: ["images", "machines"],
      users: { reader: { mon: "profile rbd-read-only", osd: "profile rbd-read-only pool=images" } },
    };
    const clusters = await Promise.all([startCephCluster(options), startCephCluster(options)]);
    const [one, other] = [clusters[0]!, clusters[1]!];
    try {
      await one.run("rbd", ["create", "--size", "1G", "images/disk"]);
      assert.equal(await one.run("rbd", ["ls", "images"], "reader"), "disk\n");
      assert.equal(await other.run("rbd", ["ls", "images"], "reader"), "");
      assert.equal(await one.run("rbd", ["ls", "machines"]), "");
      await assert.rejects(one.run("rbd", ["create", "--size", "1G", "images/more"], "reader"));
    } finally {
      await Promise.all(clusters.map((cluster) => cluster.stop()));
    }
    for (const cluster of clusters) {
      assert.equal(existsSync(dirname(cluster.configuration)), false);
      assert.deepEqual(daemonsOf(cluster.configuration), []);
    }
  });

  it("ends when its test is killed", async () => {
    const module = fileURLToPath(new URL("ceph-cluster.ts", import.meta.url));
    const program = `const { startCephCluster } = await import(${JSON.stringify(module)});
      console.log((await startCephCluster()).configuration); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: ["ignore", "pipe", 2] });
    const configuration = await new Promise<string>((resolve, reject) => {
      child.stdout!.setEncoding("utf8").once("data", (text: string) => resolve(text.trim()));
      child.once("exit", () => reject(new Error("the cluster did not start")));
    });
    assert.equal(daemonsOf(configuration).length, 2);
    child.kill("SIGKILL");
    for (let tries = 0; daemonsOf(configuration).length > 0; tries++) {
      assert.ok(tries < 100, "the daemons outlive their test");
      await sleep(50);
    }
    rmSync(dirname(configuration), { recursive: true });
  });
});

/** Processes that were started with this configuration and are more than a corpse. */
function daemonsOf(configuration: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(configuration);
    } catch {
      return false;
    }
  });
}
