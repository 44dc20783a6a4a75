import assert from "node:assert/strict";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { clusterCertificates } from "../../test-support/proxmox-emulator/certificate.ts";
import { oldRoot, withCluster } from "./cluster.testing.ts";
import { proxmoxDriver } from "./proxmox-driver.ts";

/** The smallest role that swaps, on release 9 and 8. */
const swapper = (version: 8 | 9) => ({
  "/vms/127": [
    ...["VM.Audit", "VM.PowerMgmt", "VM.Config.Disk", "VM.Config.Options"],
    version === 9 ? "VM.GuestAgent.Unrestricted" : "VM.Monitor",
  ],
  "/storage/ceph": ["Datastore.Audit"],
});

test("a machine is read at one moment: disks verbatim, leftovers, agent, node", () =>
  withCluster({}, async ({ driver, machine, id }) => {
    machine.keys.set("unused1", "ceph:vm-127-disk-7");
    machine.keys.set("unused10", "ceph:vm-127-disk-9");
    machine.keys.set("ide2", "none,media=cdrom");
    const state = (await driver.inspect(id))!;
    assert.deepEqual(state.id, { name: "worker-001", vmid: 127 });
    assert.deepEqual([...state.slots.keys()].sort(), ["scsi0", "scsi1"]);
    assert.deepEqual(state.slots.get("scsi0"), { volume: "ceph:vm-127-root-202301010000", raw: oldRoot });
    assert.deepEqual(state.detached, ["ceph:vm-127-disk-7", "ceph:vm-127-disk-9"]);
    assert.deepEqual([state.power, state.hasAgent, state.node, state.busy], ["off", true, "pve1", undefined]);
    machine.keys.set("agent", "0,type=virtio");
    assert.equal((await driver.inspect(id))!.hasAgent, false);
  }));

test("a change in the middle of reading is noticed, and read again", () =>
  withCluster({}, async ({ driver, emulator, machine, id }) => {
    const swap = () => machine.keys.set("scsi0", "ceph:vm-127-root-202309242151");
    emulator.fault({ method: "GET", path: /pending$/, kind: "meanwhile", happens: swap });
    const state = (await driver.inspect(id))!;
    assert.equal(state.slots.get("scsi0")!.volume, "ceph:vm-127-root-202309242151");
    const restless = () => machine.keys.set("description", String(Math.random()));
    emulator.fault({ method: "GET", path: /pending$/, kind: "meanwhile", happens: restless, times: 100 });
    await assert.rejects(driver.inspect(id), { code: "busy-retry" });
  }));

test("no such machine is undefined for who may see all, and forbidden for who may not", () =>
  withCluster({}, async ({ driver, emulator, connect }) => {
    const nobody = { name: "nobody", vmid: 999 };
    assert.equal(await driver.inspect(nobody), undefined);
    const token = emulator.makeToken({ name: "narrow", grants: swapper(9) });
    const narrow = connect({ token });
    await assert.rejects(narrow.inspect(nobody), { code: "forbidden", message: /VM\.Audit on \/vms\/999/ });
    await assert.rejects(driver.inspect({ name: "numberless" }), { code: "invalid-setting", message: /vmid/ });
  }));

test("a list that is empty for want of privileges is an error, not an empty centre", () =>
  withCluster({ token: {} }, async ({ driver, emulator, connect, id }) => {
    await assert.rejects(driver.list(), { code: "forbidden", message: /VM\.Audit/ });
    await assert.rejects(driver.inspect(id), { code: "forbidden" });
    const auditor = connect({ token: emulator.makeToken({ name: "auditor", grants: { "/vms": ["VM.Audit"] } }) });
    assert.deepEqual(
      (await auditor.list()).map(({ id }) => id.vmid),
      [127],
    );
    emulator.machines.clear();
    assert.deepEqual(await auditor.list(), [], "there are none, and it may know");
  }));

test("one node away does not hide the others, and its machines do not look as if they were gone", () =>
  withCluster({ nodes: ["pve1", "pve2"] }, async ({ driver, emulator }) => {
    emulator.addMachine(200, { name: "far" }, "pve2");
    emulator.nodes[1]!.isUp = false;
    const [near, far] = await driver.list();
    assert.deepEqual([near!.id.vmid, near!.power], [127, "off"]);
    assert.deepEqual([far!.id.vmid, far!.power, far!.busy], [200, "changing", "its node pve2 does not answer"]);
  }));

test("a list that lags behind hides nobody: the machine itself is asked for on each node", () =>
  withCluster({ nodes: ["pve1", "pve2"] }, async ({ driver, machine, id }) => {
    machine.isListed = false;
    machine.node = "pve2";
    assert.equal((await driver.inspect(id))!.node, "pve2");
  }));

test("releases before 8 are refused in words", async () => {
  const { leaves } = clusterCertificates(["pve1"]);
  const { key, certificate: cert, fingerprint } = leaves[0]!;
  const answers: Readonly<Record<string, unknown>> = { "/version": { version: "7.4-17" }, "/nodes": [] };
  const server = createServer({ key, cert }, ({ url }, response) => {
    response.end(JSON.stringify({ data: answers[url!.replace("/api2/json", "")] ?? {} }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const urls = [`https://localhost:${(server.address() as AddressInfo).port}`];
  const token = "root@pam!deploy=01234567-89ab-cdef-0123-456789abcdef";
  const driver = proxmoxDriver({ urls, token, fingerprint, parallelPerNode: 1 });
  const problems = await driver.check({ machines: [], storages: [], defines: false });
  assert.deepEqual(
    problems.map(({ code }) => code),
    ["invalid-setting", "hypervisor-unreachable"],
  );
  assert.match(problems[0]!.what, /7\.4-17/);
  driver.close();
  server.close();
});

test("a machine that moves to another node is followed", () =>
  withCluster({ nodes: ["pve1", "pve2"] }, async ({ driver, machine, id }) => {
    assert.equal((await driver.inspect(id))!.node, "pve1");
    machine.node = "pve2";
    assert.equal((await driver.inspect(id))!.node, "pve2");
    assert.deepEqual(driver.consoleCommand(id), ["ssh", "-t", "root@pve2", "qm", "terminal", "127"]);
  }));

for (const version of [8, 9] as const) {
  test(`privileges are asked up front and named in one message, in the words of release ${version}`, () =>
    withCluster({ version, token: {} }, async ({ driver, emulator, connect, id }) => {
      const needs = { machines: [id, { name: "other", vmid: 128 }], storages: ["ceph"], defines: false };
      const problems = await driver.check(needs);
      const [lacking, ...others] = problems;
      const agent = version === 9 ? "VM.GuestAgent.Unrestricted" : "VM.Monitor";
      assert.equal(lacking!.code, "forbidden");
      assert.ok(lacking!.what.includes(`VM.Config.Options, ${agent} on /vms/127, /vms/128`), lacking!.what);
      assert.ok(lacking!.what.includes("Datastore.Audit on /storage/ceph"), lacking!.what);
      assert.deepEqual(
        others.map(({ code }) => code),
        ["invalid-setting"],
        "the storage is not even seen",
      );
      const token = emulator.makeToken({ name: "swapper", grants: swapper(version) });
      const swaps = { ...needs, machines: [id] };
      assert.deepEqual(await connect({ token }).check(swaps), []);
      const [toDefine] = await connect({ token }).check({ ...swaps, defines: true });
      assert.match(toDefine!.what, /lacks VM\.Allocate, VM\.Config\.CPU, .* on \/vms\/127$/);
      const foreign = version === 9 ? "VM.Monitor" : "VM.GuestAgent.Unrestricted";
      assert.throws(() => emulator.makeToken({ grants: { "/": [foreign] } }), /invalid privilege/);
    }));
}

test("the smallest role swaps; what it lacks is told with path and privilege", () =>
  withCluster({ token: { user: "deploy@pve", grants: swapper(9) } }, async ({ driver, emulator, id, disk }) => {
    await assert.rejects(driver.inspect(id), { code: "forbidden" }, "a token has no more than its user");
    emulator.setUser("deploy@pve", { "/": Object.values(swapper(9)).flat() });
    const { version } = (await driver.inspect(id))!;
    await driver.attach(id, "scsi0", disk("vm-127-root-202309242151"), version);
    await driver.powerOn(id, 5);
    await driver.agent(id).ping(1);
    assert.equal(await driver.powerOff(id, { graceful: true, deadlineSeconds: 2, force: false }), "graceful");
    const spec = {
      ...({ id, architecture: "amd64", cores: 2, memoryMebibytes: 4096, firmware: "bios", description: "" } as const),
      nics: [{ network: "vmbr0", mac: "52:54:00:12:34:56" }],
    };
    await assert.rejects(driver.define(spec), { code: "forbidden", message: /VM\.Config\.CPU on \/vms\/127/ });
    const removal = driver.remove(id);
    await assert.rejects(removal, { code: "disk-in-use" });
  }));

test("storages are checked by name, with the names there are", () =>
  withCluster({}, async ({ driver }) => {
    const problems = await driver.check({ machines: [], storages: ["ceph", "cepf"], defines: true });
    assert.deepEqual(
      problems.map(({ code }) => code),
      ["invalid-setting"],
    );
    assert.match(problems[0]!.what, /"cepf"/);
    assert.equal(problems[0]!.expected, "one of ceph");
    assert.equal(problems[0]!.hint, "did you mean ceph?");
  }));
