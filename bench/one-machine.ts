// npm run bench -- one-machine: from an edited line to a verified new root under a running machine, on a real Ceph cluster
// and real QEMU. Nothing here is asserted: the numbers are for docs/performance.md.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { formatBytes } from "../src/base/progress.ts";
import type { DeployOutcome } from "../src/centre/outcome.ts";
import { startCephCluster } from "../src/test-support/ceph-cluster.ts";
import { testCacheFolder } from "../src/test-support/test-session.ts";
import { table } from "./measure.ts";

const project = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = mkdtempSync(join(tmpdir(), "meso-one-machine-"));
const cluster = await startCephCluster({ pools: ["images", "vms"] });
const env = { ...process.env, MESO_STORE: join(testCacheFolder(), "store") };

try {
  console.log(`${cpus()[0]?.model.trim()}, ${availableParallelism()} processors, Node ${process.version}\n`);
  writeProgram("first");
  const made = deploy();
  writeProgram("second");
  const planned = timed(() => meso("plan"));
  const began = performance.now();
  const swapped = deploy();
  const whole = (performance.now() - began) / 1000;
  const again = timed(() => meso("publish", "--yes", "--json"));
  const steps = swapped.machines[0]!.stepSeconds;
  const of = (...kinds: string[]) => kinds.reduce((sum, kind) => sum + (steps[kind] ?? 0), 0);
  const rows = [
    ["plan, with what differs", planned.seconds.toFixed(2), ""],
    [
      "build, publish",
      (steps.publish ?? whole - of(...Object.keys(steps))).toFixed(2),
      formatBytes(swapped.publishedBytes),
    ],
    ["clone, promote", of("clone", "promote").toFixed(2), ""],
    ["verify: boot on trial, checks", of("verify").toFixed(2), ""],
    ["shut down", of("power-off").toFixed(2), ""],
    ["snapshot, swap, start", of("snapshot", "define", "attach-root", "power-on").toFixed(2), ""],
    ["boot, checks", of("check").toFixed(2), ""],
    ["in all, from the edited line", whole.toFixed(2), ""],
    ["machine away", (swapped.machines[0]!.outageSeconds ?? 0).toFixed(2), ""],
    ["published again, nothing changed", again.seconds.toFixed(2), formatBytes(0)],
    ["first publication of the whole image", "", formatBytes(made.publishedBytes)],
  ];
  console.log(table(["what", "wall s", "bytes"], rows));
  if (again.status !== 3) throw new Error(`publishing again ended with ${again.status}`);
} finally {
  meso("down", "--forget");
  await cluster.stop();
  rmSync(folder, { recursive: true, force: true });
}

function meso(...words: string[]) {
  const command = [join(project, "bin", "meso.mjs"), ...words];
  return spawnSync(process.execPath, command, { cwd: folder, env, encoding: "utf8", maxBuffer: 64 << 20 });
}

function deploy(): DeployOutcome {
  const { status, stdout, stderr } = meso("deploy", "--yes", "--json");
  if (status !== 0) throw new Error(`meso deploy ended with ${status}: ${stderr}${stdout}`);
  return (JSON.parse(stdout) as { outcome: DeployOutcome }).outcome;
}

function timed(run: () => { status: number | null }) {
  const started = performance.now();
  const { status } = run();
  return { status, seconds: (performance.now() - started) / 1000 };
}

function writeProgram(motd: string): void {
  const text = `
import { baseFileSystems, cephPool, centre, fileSystem, inherit, label, machine, operatingSystem, qemu, volume } from "mesoforge";

const os = operatingSystem({
  hostName: "one",
  fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "erofs" }), ...baseFileSystems],
  kernelArguments: ["console=ttyS0,115200"],
});

export default centre({
  name: "one",
  pool: cephPool({ pool: "images", machinePool: "vms", configuration: ${JSON.stringify(cluster.configuration)} }),
  hypervisor: qemu({ directory: "machines" }),
  machines: { one: machine({ os: inherit(os, { motd: ${JSON.stringify(`${motd}\n`)} }), volumes: { state: volume({ size: "1GiB" }) } }) },
});
`;
  writeFileSync(join(folder, "centre.ts"), text);
}
