import assert from "node:assert/strict";
import { test } from "node:test";
import type { MachineSpec } from "../hypervisor.ts";
import { withCluster } from "./cluster.testing.ts";

const spec: MachineSpec = {
  id: { name: "ctld", vmid: 233 },
  ...{ architecture: "amd64", cores: 8, memoryMebibytes: 16_384, firmware: "bios" },
  nics: [{ network: "vmbr0", mac: "52:54:00:aa:bb:cc", tag: 42 }],
  description: "slurm/ctld, by mesoforge",
};

test("defined: off, with agent and console, without disks; again changes nothing; then key by key", () =>
  withCluster({}, async ({ driver, emulator }) => {
    await driver.define(spec);
    const state = (await driver.inspect(spec.id))!;
    assert.deepEqual([state.power, state.slots.size, state.hasAgent, state.id.name], ["off", 0, true, "ctld"]);
    const { keys } = emulator.machines.get(233)!;
    assert.equal(keys.get("net0"), "virtio=52:54:00:AA:BB:CC,bridge=vmbr0,tag=42");
    assert.equal(keys.get("serial0"), "socket");
    await driver.define(spec);
    assert.equal((await driver.inspect(spec.id))!.version, state.version);
    await driver.define({ ...spec, memoryMebibytes: 8192 });
    const put = emulator.heard.findLast(({ method }) => method === "PUT")!;
    assert.deepEqual(put.parameters, { memory: "8192", digest: state.version });
    assert.equal(keys.get("memory"), "8192");
  }));

test("what nobody asked about stays: firewall, rate and model of a card, sockets, more disks", () =>
  withCluster({}, async ({ driver, machine, id }) => {
    machine.keys.set("net0", "e1000=52:54:00:12:34:56,bridge=vmbr0,firewall=1,rate=10,tag=7");
    machine.keys.set("net1", "virtio=52:54:00:12:34:57,bridge=vmbr1");
    machine.keys.set("sockets", "2");
    machine.keys.set("cores", "2");
    const disks = [machine.keys.get("scsi0"), machine.keys.get("scsi1")];
    const nic = { network: "vmbr9", mac: "52:54:00:00:00:01" };
    await driver.define({ ...spec, id, cores: 4, memoryMebibytes: 4096, nics: [nic] });
    assert.equal(machine.keys.get("net0"), "e1000=52:54:00:00:00:01,bridge=vmbr9,firewall=1,rate=10");
    assert.equal(machine.keys.has("net1"), false);
    assert.deepEqual([machine.keys.get("sockets"), machine.keys.get("cores")], ["2", "2"], "two times two is four");
    assert.deepEqual([machine.keys.get("scsi0"), machine.keys.get("scsi1")], disks);
    await driver.define({ ...spec, id, cores: 3, memoryMebibytes: 4096, nics: [nic] });
    assert.deepEqual([machine.keys.get("sockets"), machine.keys.get("cores")], ["1", "3"]);
  }));

test("UEFI: the machine's type follows, and a version that somebody pinned stays", () =>
  withCluster({}, async ({ driver, emulator, machine, id }) => {
    const nics = [{ network: "vmbr0", mac: "52:54:00:12:34:56" }];
    const uefi = { ...spec, id, cores: 4, memoryMebibytes: 4096, nics, firmware: "uefi" } as const;
    await driver.define(uefi);
    assert.deepEqual([machine.keys.get("bios"), machine.keys.get("machine")], ["ovmf", "q35"]);
    machine.keys.set("machine", "pc-q35-9.0");
    const puts = emulator.heard.filter(({ method }) => method === "PUT").length;
    await driver.define(uefi);
    assert.equal(emulator.heard.filter(({ method }) => method === "PUT").length, puts);
  }));

test("on a running machine a change waits for the next start, and is not asked for again", () =>
  withCluster({}, async ({ driver, emulator, machine, id }) => {
    await driver.powerOn(id, 5);
    const nics = [{ network: "vmbr0", mac: "52:54:00:12:34:56" }];
    const bigger = { ...spec, id, cores: 4, memoryMebibytes: 8192, nics };
    await driver.define(bigger);
    assert.deepEqual([machine.keys.get("memory"), machine.pending.get("memory")], ["4096", "8192"]);
    const puts = () => emulator.heard.filter(({ method }) => method === "PUT").length;
    const before = puts();
    await driver.define(bigger);
    assert.equal(puts(), before);
    assert.equal((await driver.inspect(id))!.staged.size, 0, "memory is no disk: it may wait");
    await driver.powerOff(id, { graceful: true, deadlineSeconds: 2, force: false });
    await driver.powerOn(id, 5);
    assert.equal(machine.keys.get("memory"), "8192");
  }));

test("nodes go by their short names; without one, the emptiest is taken", () =>
  withCluster({ nodes: ["pve1", "pve2"] }, async ({ driver, emulator }) => {
    const wrong = driver.define({ ...spec, node: "pve2.example.org" });
    await assert.rejects(wrong, {
      code: "invalid-setting",
      message: /no node "pve2\.example\.org"[\s\S]*one of pve1, pve2[\s\S]*did you mean pve2/,
    });
    await driver.define(spec);
    assert.equal(emulator.machines.get(233)!.node, "pve2");
    await driver.define({ ...spec, id: { name: "next", vmid: 234 }, node: "pve1" });
    assert.equal(emulator.machines.get(234)!.node, "pve1");
    const arm = driver.define({ ...spec, architecture: "arm64" });
    await assert.rejects(arm, { code: "invalid-setting", message: /amd64/ });
  }));

test("a lost answer, or somebody who was faster, ends in the machine as wished", () =>
  withCluster({}, async ({ driver, emulator }) => {
    for (const [kind, vmid] of [
      ["lost", 301],
      ["dropped", 302],
      [596, 303],
    ] as const) {
      emulator.fault({ method: "POST", path: /\/qemu$/, kind });
      await driver.define({ ...spec, id: { name: "ctld", vmid } });
      assert.equal(emulator.machines.get(vmid)?.keys.get("cores"), "8");
    }
    const first = () => void emulator.addMachine(304, { name: "ctld" });
    emulator.fault({ method: "POST", path: /\/qemu$/, kind: "meanwhile", happens: first });
    await driver.define({ ...spec, id: { name: "ctld", vmid: 304 } });
    assert.equal(emulator.machines.get(304)!.keys.get("memory"), "16384");
  }));

test("removal never destroys: attached, unused, in a snapshot or waiting, a disk of its own keeps the machine", () =>
  withCluster({}, async ({ driver, emulator, machine, images, id }) => {
    const destroyed = () => emulator.heard.filter(({ method }) => method === "DELETE").length;
    const refused = async (...names: string[]) => {
      await assert.rejects(driver.remove(id), (error: Error & { code?: string }) => {
        assert.equal(error.code, "disk-in-use");
        for (const name of names) assert.ok(error.message.includes(`ceph:${name}`), error.message);
        assert.match(error.message, /rename the images in the pool/);
        return true;
      });
    };
    await refused("vm-127-root-202301010000", "vm-127-state");
    machine.keys.delete("scsi0");
    machine.keys.delete("scsi1");
    machine.keys.set("unused3", "ceph:vm-127-state");
    await refused("vm-127-state");
    machine.keys.delete("unused3");
    machine.snapshots.set("before", new Map([["scsi1", "ceph:vm-127-state,size=20G"]]));
    await refused("vm-127-state");
    machine.snapshots.clear();
    machine.pending.set("scsi4", "ceph:vm-127-state");
    await refused("vm-127-state");
    machine.pending.clear();
    machine.keys.set("scsi1", "ceph:vm-127-state,serial=state,size=20G");
    assert.equal(destroyed(), 0);
    // Given up: the pool calls it by another name, and Proxmox finds nothing.
    images.set("worker-001-state", images.get("vm-127-state")!);
    images.delete("vm-127-state");
    await driver.powerOn(id, 1).catch(() => {});
    const before = [...images.keys()].sort();
    await driver.remove(id);
    assert.equal(emulator.machines.has(127), false);
    assert.deepEqual([...images.keys()].sort(), before, "vm-127-root-202309242151, in no settings, too");
    await driver.remove(id);
  }));

test("removal: a running or protected machine is refused, one of HA is told first and purged; a lost answer is fine", () =>
  withCluster({}, async ({ driver, emulator, machine, id }) => {
    for (const key of ["scsi0", "scsi1"]) machine.keys.delete(key);
    await driver.powerOn(id, 5);
    await assert.rejects(driver.remove(id), { code: "busy-retry" });
    await driver.powerOff(id, { graceful: false, deadlineSeconds: 1, force: true });
    machine.keys.set("protection", "1");
    await assert.rejects(driver.remove(id), { code: "machine-locked", message: /protect/ });
    machine.keys.delete("protection");
    machine.ha = { state: "started" };
    emulator.fault({ method: "DELETE", path: /127$/, kind: "lost" });
    await driver.remove(id);
    assert.equal(emulator.machines.has(127), false);
    const request = emulator.heard.find(({ method }) => method === "DELETE")!;
    assert.deepEqual(request.parameters, { "destroy-unreferenced-disks": "0", purge: "1" });
  }));

test("an old root is destroyed with its entry among the unused, never one that is attached or about to be", () =>
  withCluster({}, async ({ driver, emulator, machine, images, disk }) => {
    const old = "vm-127-root-202309242151";
    machine.keys.set("unused0", "ceph:vm-127-disk-7");
    machine.keys.set("unused4", `ceph:${old}`);
    const puts = () =>
      emulator.heard.filter(({ method }) => method === "PUT").map(({ parameters }) => parameters.delete);
    // Not listed, not to be seen, of no machine: the pool's own affair.
    for (const name of ["vm-127-state", "VMroot_slurm-worker_202309242151", "vm-999-root"])
      await driver.discard!(disk(name));
    assert.deepEqual(puts(), []);
    machine.pending.set("scsi0", `ceph:${old}`);
    await assert.rejects(driver.discard!(disk(old)), { code: "disk-in-use", message: /scsi0/ });
    machine.pending.clear();
    machine.keys.set("scsi7", `ceph:${old}`);
    await assert.rejects(driver.discard!(disk(old)), { code: "disk-in-use", message: /scsi7/ });
    machine.keys.delete("scsi7");
    emulator.fault({ method: "PUT", path: /config$/, kind: "lost" });
    await driver.discard!(disk(old));
    assert.deepEqual(puts(), ["unused4"]);
    assert.deepEqual(
      [images.has(old), machine.keys.has("unused4"), machine.keys.get("unused0")],
      [false, false, "ceph:vm-127-disk-7"],
    );
  }));

test("without the right to destroy, the entry is left to a person, and the image to the pool", () =>
  withCluster(
    { token: { grants: { "/vms": ["VM.Audit", "VM.Config.Disk"] } } },
    async ({ driver, machine, images, disk }) => {
      machine.keys.set("unused0", "ceph:vm-127-root-202309242151");
      await driver.discard!(disk("vm-127-root-202309242151"));
      assert.ok(images.has("vm-127-root-202309242151") && machine.keys.has("unused0"));
    },
  ));
