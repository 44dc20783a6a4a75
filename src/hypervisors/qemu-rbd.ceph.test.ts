import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { writeRaw } from "../image/output/write-raw.ts";
import { type CephCluster, startCephCluster } from "../test-support/ceph-cluster.ts";
import { diskSize } from "./disk-size.ts";
import { slowness } from "./qemu-accelerator.ts";
import { qemuHost } from "./qemu-host.ts";
import { rbdSource } from "./qemu-host-start.ts";
import { startMachine } from "./start-machine.ts";
import { toySystem } from "./toy-system.testing.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-qemu-rbd-"));
let ceph: CephCluster;
/** Ceph's file without the keyrings that it names, and a user's key elsewhere: as on a host where nothing is set up. */
const configuration = join(folder, "ceph.conf");
const keyring = join(folder, "machines.keyring");

before(async () => {
  ceph = await startCephCluster({ users: { machines: { mon: "profile rbd", osd: "profile rbd" } } });
  const text = readFileSync(ceph.configuration, "utf8");
  writeFileSync(configuration, text.replace(/^\s*keyring\s*=.*$/gm, ""));
  copyFileSync(ceph.keyring("machines"), keyring);
});
after(async () => {
  await ceph?.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("a machine of plain QEMU starts from RBD with a user's keyring; a layer above an image leaves it as it is", async () => {
  const toy = await toySystem();
  const raw = join(folder, "toy.raw");
  writeRaw(toy.disk("ext4", { name: "from-ceph" }), raw, { segmentDataPath: () => "" });
  await ceph.run("rbd", ["create", "--size", "32G", "rbd/vm-1-root"]);
  // Unlike `rbd import`, it does not read the 32 GiB that are holes.
  const target = `rbd:rbd/vm-1-root:conf=${ceph.configuration}:id=admin`;
  await promisify(execFile)("qemu-img", ["convert", "-n", "--target-is-zero", "-f", "raw", "-O", "raw", raw, target]);
  const disk = { kind: "rbd", pool: "rbd", image: "vm-1-root", user: "machines", configuration, keyring } as const;
  const source = rbdSource(disk, join(folder, "merged.conf"));
  assert.ok(source.kind === "rbd");
  assert.equal(await diskSize(source), 32 * 2 ** 30);
  await assert.rejects(diskSize({ ...source, image: "none" }), { code: "no-disk" });

  const objects = () => ceph.run("rbd", ["du", "rbd/vm-1-root", "--format", "json"]);
  const status = async () => JSON.parse(await ceph.run("rbd", ["status", "rbd/vm-1-root", "--format", "json"]));
  const before = await objects();
  const machine = await startMachine({
    ...{ architecture: "amd64", disks: [source], firmware: "bios", memoryMebibytes: 256 },
    cacheDirectory: join(folder, "cache"),
  });
  try {
    await machine.console.waitFor("TOY-WROTE hello", 30);
  } finally {
    await machine.stop({ gracefulSeconds: 0 });
  }
  assert.equal(await objects(), before);

  const driver = qemuHost({ directory: join(folder, "machines") });
  const id = { name: "rooted" };
  await driver.define({
    ...{ id, architecture: "amd64", cores: 1, memoryMebibytes: 256, firmware: "bios", nics: [], description: "" },
  });
  try {
    const { version } = (await driver.inspect(id))!;
    await driver.attach(id, "virtio0", disk, version, { boot: true });
    assert.equal((await driver.inspect(id))!.slots.get("virtio0")?.volume, "rbd:rbd/vm-1-root");
    await driver.powerOn(id, 60);
    await driver.agent(id).ping(60 / slowness.tcg + 30);
    assert.equal((await status()).watchers.length, 1);
    // More than an object of 4 MiB, so that the listing shows it.
    const write = "/bin/busybox head -c 16000000 /dev/urandom >/written && /bin/busybox sync";
    assert.equal((await driver.agent(id).exec(["/bin/sh", "-c", write])).exitCode, 0);
    assert.equal(await driver.powerOff(id, { graceful: true, deadlineSeconds: 60, force: true }), "graceful");
    assert.equal((await status()).watchers.length, 0, "off is certain: nobody has the image open");
    assert.notEqual(await objects(), before);
  } finally {
    await driver.powerOff(id, { graceful: false, deadlineSeconds: 5, force: true });
    await driver.remove(id);
  }
});
