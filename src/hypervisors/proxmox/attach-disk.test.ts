import assert from "node:assert/strict";
import { test } from "node:test";
import { oldRoot, withCluster } from "./cluster.testing.ts";

const newRoot = oldRoot.replace("202301010000", "202309242151");

test("a swap is one key with the digest; the old root is listed as unused, and swapping back takes it from there", () =>
  withCluster({}, async ({ driver, emulator, machine, id, disk }) => {
    const before = (await driver.inspect(id))!;
    assert.equal(before.slots.get("scsi0")?.raw, oldRoot);
    const version = await driver.attach(id, "scsi0", disk("vm-127-root-202309242151"), before.version);
    const put = emulator.heard.findLast(({ method }) => method === "PUT")!;
    assert.deepEqual(put.parameters, { scsi0: newRoot, digest: before.version });
    const after = (await driver.inspect(id))!;
    assert.equal(after.version, version);
    assert.equal(after.slots.get("scsi0")?.raw, newRoot);
    assert.deepEqual(after.detached, ["ceph:vm-127-root-202301010000"]);
    assert.equal(machine.keys.get("boot"), "order=scsi0;net0");
    await driver.attach(id, "scsi0", disk("vm-127-root-202301010000"), version);
    const back = (await driver.inspect(id))!;
    assert.equal(back.slots.get("scsi0")?.raw, oldRoot);
    assert.deepEqual(back.detached, ["ceph:vm-127-root-202309242151"]);
  }));

test("the digest decides: a lost race is a conflict and changes nothing; what holds already is fine", () =>
  withCluster({}, async ({ driver, connect, machine, id, disk }) => {
    const { version } = (await driver.inspect(id))!;
    machine.keys.set("description", "somebody was here");
    await assert.rejects(driver.attach(id, "scsi0", disk("vm-127-root-202309242151"), version), { code: "conflict" });
    assert.equal(machine.keys.get("scsi0"), oldRoot);
    const now = (await driver.inspect(id))!.version;
    assert.equal(await driver.attach(id, "scsi0", disk("vm-127-root-202301010000"), "whatever"), now);
    // Four at once with the same digest, from four programs: one wins.
    const others = Array.from({ length: 4 }, () => connect());
    const outcomes = await Promise.allSettled(
      others.map((other, index) => other.attach(id, `scsi${index + 2}`, disk("vm-127-root-202309242151"), now)),
    );
    assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
    for (const outcome of outcomes) {
      if (outcome.status === "rejected") assert.match(outcome.reason.code, /conflict|disk-in-use/);
    }
  }));

test("a boot disk changed under a machine that was started meanwhile: the 400 leaves a pending value, which is reverted", () =>
  withCluster({}, async ({ driver, connect, emulator, id, disk }) => {
    const { version } = (await driver.inspect(id))!;
    emulator.fault({ method: "PUT", path: /config$/, kind: "meanwhile", happens: () => connect().powerOn(id, 5) });
    await assert.rejects(driver.attach(id, "scsi0", disk("vm-127-root-202309242151"), version), (error: Error) => {
      assert.match(error.message, /hotplug problem - can't unplug bootdisk 'scsi0'/);
      assert.equal((error as { code?: string }).code, "busy-retry");
      return true;
    });
    const after = (await driver.inspect(id))!;
    assert.equal(after.slots.get("scsi0")?.raw, oldRoot);
    assert.equal(after.staged.size, 0, "nothing strikes at the next start");
    assert.deepEqual(after.detached, ["ceph:vm-127-root-202309242151"]);
    assert.ok(emulator.heard.some(({ parameters }) => parameters.revert === "scsi0"));
  }));

test("without hotplug of disks the same change is taken and only waits: it is taken back, too", () =>
  withCluster({}, async ({ driver, connect, emulator, machine, id, disk }) => {
    machine.keys.set("hotplug", "network,usb");
    const { version } = (await driver.inspect(id))!;
    emulator.fault({ method: "PUT", path: /config$/, kind: "meanwhile", happens: () => connect().powerOn(id, 5) });
    const attach = driver.attach(id, "scsi0", disk("vm-127-root-202309242151"), version);
    await assert.rejects(attach, { code: "conflict", message: /does not hold.*although Proxmox took the change/ });
    assert.equal(machine.keys.get("scsi0"), oldRoot);
    assert.equal(machine.pending.size, 0);
  }));

test("a change left pending by somebody is shown, and no disk is exchanged beside it", () =>
  withCluster({}, async ({ driver, machine, id, disk }) => {
    machine.pending.set("scsi0", newRoot);
    machine.removing.add("scsi1");
    const state = (await driver.inspect(id))!;
    assert.deepEqual(
      [...state.staged],
      [
        ["scsi0", "ceph:vm-127-root-202309242151"],
        ["scsi1", "remove"],
      ],
    );
    const attach = driver.attach(id, "scsi0", disk("vm-127-root-202301010000"), state.version);
    await assert.rejects(attach, { code: "conflict", message: /scsi0 waits.*next start[\s\S]*qm pending 127/ });
    assert.equal(machine.keys.get("scsi0"), oldRoot);
    assert.ok(machine.removing.has("scsi1"));
    machine.removing.clear();
    // Our own change, left by a killed run: the same wish finishes it.
    const { version } = (await driver.inspect(id))!;
    await driver.attach(id, "scsi0", disk("vm-127-root-202309242151"), version);
    const after = (await driver.inspect(id))!;
    assert.equal(after.slots.get("scsi0")?.raw, newRoot);
    assert.equal(after.staged.size, 0);
  }));

test("the number in the name is the owner: another machine's image, and the pool's own names, are refused before asking", () =>
  withCluster({}, async ({ driver, emulator, id, disk }) => {
    const { version } = (await driver.inspect(id))!;
    const before = emulator.heard.length;
    const other = driver.attach(id, "scsi0", disk("vm-128-root-202301010000"), version);
    await assert.rejects(other, { code: "invalid-setting", message: /belongs to machine 128.*not to 127/ });
    const published = disk("VMroot_slurm-worker_202309242151");
    await assert.rejects(async () => driver.attach(id, "scsi0", published, version), { code: "invalid-setting" });
    const file = { kind: "file", path: "/srv/x", format: "raw" } as const;
    assert.throws(() => driver.volumeName(file), { code: "invalid-setting", message: /cephPool/ });
    assert.equal(emulator.heard.length, before);
    const missing = driver.attach(id, "scsi0", disk("vm-127-root-none"), version);
    await assert.rejects(missing, { message: /vm-127-root-none.*No such file/ });
    const unknown = driver.attach(id, "scsi0", { ...disk("vm-127-state"), storage: "cehp" } as never, version);
    await assert.rejects(unknown, {
      code: "invalid-setting",
      message: /no storage for images "cehp"[\s\S]*did you mean ceph/,
    });
  }));

test("one image in two slots is what Proxmox would take, and is refused here", () =>
  withCluster({}, async ({ driver, id, disk }) => {
    const { version } = (await driver.inspect(id))!;
    const twice = driver.attach(id, "scsi7", disk("vm-127-state"), version);
    await assert.rejects(twice, { code: "disk-in-use", message: /vm-127-state is in scsi1/ });
  }));

test("a disk taken out and put in again is back in the boot order", () =>
  withCluster({}, async ({ driver, emulator, machine, id, disk }) => {
    machine.keys.delete("scsi0");
    machine.keys.set("boot", "order=net0");
    const { version } = (await driver.inspect(id))!;
    const root = disk("vm-127-root-202309242151");
    await driver.attach(id, "scsi0", root, version, { boot: true, serial: "root disk" });
    assert.equal(machine.keys.get("boot"), "order=scsi0;net0");
    assert.equal(machine.keys.get("scsi0"), "ceph:vm-127-root-202309242151,discard=on,serial=root%20disk,size=32G");
    assert.equal(emulator.heard.filter(({ method }) => method === "PUT").length, 1, "in the same change");
    const again = (await driver.inspect(id))!.version;
    assert.equal(await driver.attach(id, "scsi0", root, again, { boot: true, serial: "root disk" }), again);
    assert.equal(emulator.heard.filter(({ method }) => method === "PUT").length, 1);
  }));

test("a lost answer is looked after, not repeated blindly: done, or done again under the same digest", () =>
  withCluster({}, async ({ driver, emulator, id, disk }) => {
    for (const [kind, image] of [
      ["lost", "vm-127-root-202309242151"],
      ["dropped", "vm-127-root-202301010000"],
      [596, "vm-127-root-202309242151"],
      [595, "vm-127-root-202301010000"],
    ] as const) {
      const { version } = (await driver.inspect(id))!;
      const fault = emulator.fault({ method: "PUT", path: /config$/, kind });
      await driver.attach(id, "scsi0", disk(image), version);
      assert.equal(fault.times, 0);
      const after = (await driver.inspect(id))!;
      assert.equal(after.slots.get("scsi0")?.volume, `ceph:${image}`);
      assert.equal(after.staged.size, 0);
    }
  }));

test("locks: the file lock is waited for and tried again; a backup's lock, and a template, refuse in words", () =>
  withCluster({ seconds: { lock: 0.05 } }, async ({ driver, machine, id, disk }) => {
    const { version } = (await driver.inspect(id))!;
    let free = () => {};
    machine.fileLock = new Promise((resolve) => {
      free = resolve;
    });
    setTimeout(() => free(), 300);
    await driver.attach(id, "scsi0", disk("vm-127-root-202309242151"), version);
    assert.match(machine.keys.get("scsi0")!, /202309242151/);
    machine.keys.set("lock", "backup");
    const locked = (await driver.inspect(id))!;
    assert.equal(locked.busy, "locked (backup)");
    assert.equal(locked.power, "off");
    const off = { graceful: true, deadlineSeconds: 1, force: true };
    assert.equal(await driver.powerOff(id, off), "was-off");
    for (const refused of [
      driver.attach(id, "scsi0", disk("vm-127-root-202301010000"), locked.version),
      driver.powerOn(id, 1),
      driver.remove(id),
    ]) {
      await assert.rejects(refused, { code: "machine-locked", message: /backup/ });
    }
    machine.keys.delete("lock");
    machine.keys.set("template", "1");
    assert.equal((await driver.inspect(id))!.busy, "it is a template");
    await assert.rejects(driver.powerOn(id, 1), { code: "machine-locked", message: /template/ });
  }));

test("snapshots of the machine, which pin its root, are shown", () =>
  withCluster({}, async ({ driver, machine, id }) => {
    machine.snapshots.set("before-upgrade", new Map(machine.keys));
    assert.deepEqual((await driver.inspect(id))!.snapshots, ["before-upgrade"]);
  }));
