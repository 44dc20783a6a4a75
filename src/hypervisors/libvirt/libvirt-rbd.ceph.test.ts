import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { DiskRecipe } from "../../image/extent.ts";
import { writeQcow2 } from "../../image/output/qcow2.ts";
import type { DiskLocation } from "../../pools/pool.ts";
import { type CephCluster, startCephCluster } from "../../test-support/ceph-cluster.ts";
import { type LibvirtDaemon, startLibvirt } from "../../test-support/libvirt-daemon.ts";
import { toySystem } from "../toy-system.testing.ts";
import { libvirtDriver } from "./libvirt-driver.ts";
import { virsh } from "./virsh.ts";

/** Libvirt has no ceph.conf of this cluster, and no keyring: monitors and secret go with the machine. */
describe("libvirt on Ceph", { timeout: 900_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "meso-libvirt-rbd-"));
  const id = { name: "on-ceph" };
  const cephSecret = "5ec2e75e-c27e-4c27-8c27-000000000001";
  let cluster: CephCluster;
  let daemon: LibvirtDaemon;
  const disk = (image: string): DiskLocation => ({
    ...{ kind: "rbd", pool: "machines", image, user: "meso", configuration: cluster.configuration },
  });
  const put = async (image: string, recipe: DiskRecipe) => {
    const path = join(folder, `${image}.qcow2`);
    writeQcow2(recipe, path, { segmentDataPath: () => "" });
    await cluster.run("rbd", ["create", "--size", `${recipe.size}B`, `machines/${image}`]);
    const target = `rbd:machines/${image}:id=admin:conf=${cluster.configuration}`;
    execFileSync("qemu-img", ["convert", "-n", "--target-is-zero", "-f", "qcow2", "-O", "raw", path, target]);
  };
  const watchers = async (image: string) => {
    const status = JSON.parse(await cluster.run("rbd", ["status", "--format", "json", `machines/${image}`]));
    return (status.watchers as unknown[]).length;
  };

  before(async () => {
    const user = { mon: "profile rbd", osd: "profile rbd pool=machines" };
    [cluster, daemon] = await Promise.all([
      startCephCluster({ pools: ["machines"], users: { meso: user } }),
      startLibvirt(),
    ]);
    const toy = await toySystem();
    for (const name of ["vm-7-root-1", "vm-7-root-2"]) await put(name, toy.disk("ext4", { name }));
    const key = /key = (\S+)/.exec(readFileSync(cluster.keyring("meso"), "utf8"))![1]!;
    writeFileSync(join(folder, "key"), key);
    const secret = `<secret private='yes'><uuid>${cephSecret}</uuid><usage type='ceph'><name>meso</name></usage></secret>`;
    const connection = virsh(daemon.uri);
    await connection.run(["secret-define", "/dev/stdin"], { input: secret });
    await connection.run(["secret-set-value", cephSecret, "--file", join(folder, "key")]);
  });
  after(async () => {
    await daemon?.stop();
    await cluster?.stop();
    rmSync(folder, { recursive: true });
  });

  test("defined, started, swapped, rolled back: each root tells its name, and keeps what was written", async () => {
    const driver = libvirtDriver({ uri: daemon.uri, cephSecret, domainType: "qemu" });
    assert.deepEqual(await driver.check({ machines: [id], storages: [], defines: true }), []);
    const machine = { id, architecture: "amd64", cores: 1, memoryMebibytes: 256, firmware: "bios" } as const;
    await driver.define({ ...machine, nics: [], description: "tries Ceph" });
    const agent = driver.agent(id);
    const version = async () => (await driver.inspect(id))!.version;
    const startFrom = async (image: string) => {
      await driver.attach(id, "scsi0", disk(image), await version(), { boot: true, serial: "root" });
      assert.equal((await driver.inspect(id))!.slots.get("scsi0")!.volume, `rbd:machines/${image}`);
      await driver.powerOn(id, 30);
      await agent.ping(30);
      assert.ok((await watchers(image)) > 0);
      const { stdout } = await agent.exec(["/bin/busybox", "cat", "/proc/cmdline"]);
      return /toy\.name=(\S+)/.exec(stdout)![1];
    };
    const off = { graceful: true, deadlineSeconds: 60, force: false };

    assert.equal(await startFrom("vm-7-root-1"), "vm-7-root-1");
    await agent.writeFile("/mark", Buffer.from("from the first"));
    assert.equal(await driver.powerOff(id, off), "graceful");
    assert.equal(await watchers("vm-7-root-1"), 0, "off is off: nobody holds the image");
    const first = await version();

    assert.equal(await startFrom("vm-7-root-2"), "vm-7-root-2");
    await assert.rejects(agent.readFile("/mark"), { code: "agent-refused" });
    assert.equal(await driver.powerOff(id, { ...off, graceful: false, force: true }), "forced");
    assert.equal(await watchers("vm-7-root-2"), 0);

    assert.equal(await startFrom("vm-7-root-1"), "vm-7-root-1");
    assert.equal(String(await agent.readFile("/mark")), "from the first");
    assert.equal(await version(), first);
    assert.equal(await driver.powerOff(id, off), "graceful");
    await driver.remove(id);
    assert.match(await cluster.run("rbd", ["ls", "machines"]), /vm-7-root-1\nvm-7-root-2/);
  });
});
