import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { qemuHost } from "../hypervisors/qemu-host.ts";
import { openCephPool } from "../pools/ceph/ceph-pool.ts";
import { startCephCluster } from "../test-support/ceph-cluster.ts";
import { type ToyDeployment, toyCentre, toyName } from "./killed-deployment.testing.ts";
import { observe } from "./observe.ts";

// A real cluster, real QEMU, a real process that is killed: what the simulation tries thousands of times.

const folder = mkdtempSync(join(tmpdir(), "meso-killed-"));
const cluster = await startCephCluster({ pools: ["images", "vms"], watchSeconds: 5 });
const settings = { pool: "images", machinePool: "vms", user: "admin", configuration: cluster.configuration };
const directory = join(folder, "machines");
const pool = openCephPool(settings);
const host = qemuHost({ directory });
const id = { name: "toy" };

after(async () => {
  if (await host.inspect(id)) await host.powerOff(id, { graceful: false, deadlineSeconds: 10, force: true });
  await cluster.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a deployment until its end, or until so many milliseconds after it has said that it begins a step. */
function deploy(version: string, kill?: { readonly step: string; readonly milliseconds: number }): Promise<string> {
  const child = fileURLToPath(new URL("./killed-deployment.testing.ts", import.meta.url));
  const deployment: ToyDeployment = { settings, directory, version };
  const process_ = spawn(process.execPath, [child, JSON.stringify(deployment)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  let isKilled = false;
  process_.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
    if (!kill || isKilled || !said.includes(`step ${kill.step}\n`)) return;
    isKilled = true;
    setTimeout(() => process_.kill("SIGKILL"), kill.milliseconds);
  });
  return new Promise((resolve) => process_.once("close", () => resolve(/^result (.*)$/m.exec(said)?.[1] ?? "killed")));
}

/** What a person does who knows that the process is gone: meso unlock. */
async function deployAgain(version: string): Promise<string> {
  await pool.releaseLease(undefined);
  return deploy(version);
}

/** A shell command in the machine; `$disk` is the volume's, known by its size since names of disks come as they like. */
const inside = async (command: string): Promise<string> => {
  const find = `for disk in /sys/block/sd*; do [ "$(/bin/cat $disk/size)" = 32768 ] && break; done; disk=/dev/\${disk##*/}`;
  const { exitCode, stdout, stderr } = await host.agent(id).exec(["/bin/sh", "-c", `${find}; ${command}`]);
  assert.equal(exitCode, 0, stderr);
  return stdout;
};
const marker = () => inside("/bin/busybox head -c 6 $disk");

const kills = [
  { step: "publish", milliseconds: 100 },
  { step: "publish", milliseconds: 900 },
  { step: "clone", milliseconds: 20 },
  { step: "promote", milliseconds: 0 },
  { step: "promote", milliseconds: 60 },
  { step: "power-off", milliseconds: 150 },
  { step: "snapshot", milliseconds: 30 },
  { step: "attach-root", milliseconds: 0 },
  { step: "attach-root", milliseconds: 60 },
  { step: "power-on", milliseconds: 50 },
  { step: "check", milliseconds: 500 },
  { step: "confirm", milliseconds: 30 },
];

test("killed at a dozen points, a deployment leaves a machine that the next one brings home", {
  timeout: 1_800_000,
}, async () => {
  assert.equal(await deploy("v0"), "done");
  await inside("echo -n kept-1 > $disk && /bin/busybox sync");
  for (const [index, kill] of kills.entries()) {
    const version = `v${index + 1}`;
    const where = `${kill.step} + ${kill.milliseconds} ms`;
    const first = await deploy(version, kill);
    const seen = await observe(pool, host, toyCentre(version));
    const root = seen.machines.toy?.slots.scsi0?.image;
    assert.ok(root !== undefined && seen.images.some(({ name }) => name === root), `${where}: a root is attached`);
    const second = await deployAgain(version);
    assert.ok(["done", "nothing-to-do"].includes(second), `${where}: first ${first}, then ${second}`);
    assert.equal(await toyName(host.agent(id)), version, where);
    assert.equal(await marker(), "kept-1", where);
  }
  assert.equal(await deploy("v12"), "nothing-to-do");
});
