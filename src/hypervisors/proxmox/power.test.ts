import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { withCluster } from "./cluster.testing.ts";

const unforced = { graceful: true, deadlineSeconds: 1, force: false };
const forced = { ...unforced, force: true };

test("on and off, each again is fine; off is by the agent, or by the button when nobody answers inside", () =>
  withCluster({}, async ({ driver, hardware, machine, id }) => {
    assert.equal(await driver.powerOff(id, unforced), "was-off");
    await driver.powerOn(id, 5);
    await driver.powerOn(id, 5);
    assert.equal(hardware.guest(127).starts.length, 1);
    assert.equal((await driver.inspect(id))!.power, "on");
    assert.equal(await driver.powerOff(id, unforced), "graceful");
    await driver.powerOn(id, 5);
    hardware.guest(127).hasAgent = false;
    assert.equal(await driver.powerOff(id, unforced), "graceful");
    assert.equal(machine.running, undefined);
    const nobody = { name: "nobody", vmid: 999 };
    await assert.rejects(driver.powerOn(nobody, 1), { code: "no-machine" });
    await assert.rejects(driver.powerOff(nobody, unforced), { code: "no-machine" });
  }));

test("a machine that does not listen stays on unless its power may be cut", () =>
  withCluster({}, async ({ driver, hardware, id }) => {
    await driver.powerOn(id, 5);
    hardware.guest(127).obeys = false;
    await assert.rejects(driver.powerOff(id, unforced), { code: "power-off-timeout", message: /within 1 s/ });
    assert.equal((await driver.inspect(id))!.power, "on");
    assert.equal(await driver.powerOff(id, forced), "forced");
    assert.equal((await driver.inspect(id))!.power, "off");
    await driver.powerOn(id, 5);
    assert.equal(await driver.powerOff(id, { ...forced, graceful: false }), "forced");
  }));

test("a paused machine cannot shut down: resumed by powerOn, cut by force; a crashed one is started anew", () =>
  withCluster({}, async ({ driver, hardware, id }) => {
    await driver.powerOn(id, 5);
    const guest = hardware.guest(127);
    guest.state = "paused";
    assert.equal((await driver.inspect(id))!.power, "paused");
    await assert.rejects(driver.powerOff(id, unforced), { code: "power-off-timeout", message: /paused/ });
    await driver.powerOn(id, 5);
    assert.equal((await driver.inspect(id))!.power, "on");
    assert.equal(guest.starts.length, 1);
    guest.state = "internal-error";
    assert.equal((await driver.inspect(id))!.power, "crashed");
    await driver.powerOn(id, 5);
    assert.equal(guest.starts.length, 2);
    guest.state = "paused";
    assert.equal(await driver.powerOff(id, forced), "forced");
  }));

test("a start that fails behind its 200 is an error with the task's name and its log", () =>
  withCluster({}, async ({ driver, emulator, hardware, images, id }) => {
    hardware.guest(127).startFails = "QEMU exited with code 1";
    const start = performance.now();
    await assert.rejects(driver.powerOn(id, 60), {
      code: "task-failed",
      message: /start failed: QEMU exited with code 1[\s\S]*UPID:pve1:.*:qmstart:127:[\s\S]*log: TASK ERROR/,
    });
    assert.ok(performance.now() - start < 10_000, "nothing is waited for");
    assert.equal((await driver.inspect(id))!.power, "off");
    images.delete("vm-127-root-202301010000");
    await assert.rejects(driver.powerOn(id, 5), { message: /No such file or directory/ });
    images.set("vm-127-root-202301010000", 1);
    // Locked between the look and the task: the call is a 200, the task fails.
    const lock = () => void emulator.machines.get(127)!.keys.set("lock", "backup");
    emulator.fault({ method: "POST", path: /start$/, kind: "meanwhile", happens: lock });
    await assert.rejects(driver.powerOn(id, 5), { code: "machine-locked", message: /VM is locked \(backup\)/ });
  }));

test("WARNINGS is a success, and the log is heard", async () => {
  const lines: string[] = [];
  await withCluster(
    { driver: { report: (line) => void lines.push(line) } },
    async ({ driver, machine, emulator, id }) => {
      machine.keys.set("bios", "ovmf");
      await driver.powerOn(id, 5);
      assert.equal(emulator.tasks.all().at(-1)!.exitStatus, "WARNINGS: 1");
      assert.equal((await driver.inspect(id))!.power, "on");
    },
  );
  assert.ok(
    lines.some((line) => line.startsWith("WARN: no efidisk")),
    lines.join("\n"),
  );
});

test("how a task ended: warnings are no failure, and a worker that vanished is neither", () =>
  withCluster({}, async ({ api, emulator, machine, id }) => {
    machine.keys.set("bios", "ovmf");
    const path = { node: "pve1", vmid: 127 };
    await api.run("POST /nodes/{node}/qemu/{vmid}/status/start", path, {}, 5);
    assert.equal(emulator.tasks.all().at(-1)!.exitStatus, "WARNINGS: 1");
    const vanish = () => {
      emulator.tasks.all().at(-1)!.exitStatus = "unexpected status";
    };
    emulator.fault({ method: "GET", path: /tasks/, kind: "meanwhile", happens: vanish });
    const stopped = api.run("POST /nodes/{node}/qemu/{vmid}/status/stop", path, {}, 5);
    await assert.rejects(stopped, { code: "unknown-outcome", message: new RegExp(`qmstop:${id.vmid}`) });
  }));

test("somebody who starts the machine first has done what was wished", () =>
  withCluster({}, async ({ driver, connect, emulator, id }) => {
    emulator.fault({ method: "POST", path: /start$/, kind: "meanwhile", happens: () => connect().powerOn(id, 5) });
    await driver.powerOn(id, 5);
    assert.ok(emulator.tasks.all().some(({ exitStatus }) => exitStatus === "VM 127 already running"));
  }));

test("the end of a long log is shown, not its beginning", () =>
  withCluster({}, async ({ driver, emulator, hardware, id }) => {
    hardware.guest(127).startFails = "no";
    const begin = emulator.tasks.begin;
    const talkative: typeof begin = (task, body) =>
      begin(task, async (log) => {
        for (let line = 0; line < 1234; line++) log(`line ${line}`);
        await body(log);
      });
    Object.assign(emulator.tasks, { begin: talkative });
    await assert.rejects(driver.powerOn(id, 5), (error: Error) => {
      assert.match(error.message, /log: line 1233\n.*TASK ERROR: start failed: no/);
      assert.doesNotMatch(error.message, /line 1200\n/);
      return true;
    });
  }));

test("a lost answer to a start or a shutdown is looked after; so is a task that is forgotten", () =>
  withCluster({}, async ({ driver, emulator, hardware, machine, id }) => {
    for (const kind of ["lost", 596] as const) {
      emulator.fault({ method: "POST", path: /start$/, kind });
      await driver.powerOn(id, 5);
      assert.ok(machine.running);
      emulator.fault({ method: "POST", path: /shutdown$/, kind });
      assert.equal(await driver.powerOff(id, unforced), "graceful");
    }
    assert.equal(hardware.guest(127).starts.length, 2);
    const forget = () => {
      for (const { upid } of emulator.tasks.all()) emulator.tasks.forget(upid);
    };
    emulator.fault({ method: "GET", path: /tasks/, kind: "meanwhile", happens: () => sleep(50).then(forget) });
    await driver.powerOn(id, 5);
    emulator.fault({ method: "GET", path: /tasks/, kind: 596, times: 3 });
    assert.equal(await driver.powerOff(id, unforced), "graceful");
    // Never begun: asked again, as often as the deadline allows.
    emulator.fault({ method: "POST", path: /start$/, kind: "dropped" });
    await driver.powerOn(id, 5);
    emulator.fault({ method: "POST", path: /stop$/, kind: "dropped" });
    assert.equal(await driver.powerOff(id, { ...forced, graceful: false }), "forced");
    emulator.fault({ method: "POST", path: /start$/, kind: "dropped", times: 9 });
    await assert.rejects(driver.powerOn(id, 0.8), { code: "unknown-outcome" });
    assert.equal(machine.running, undefined);
  }));

test("HA: the task ends when the wish is noted; the machine is what counts, wherever it starts", () =>
  withCluster({ nodes: ["pve1", "pve2"] }, async ({ driver, emulator, hardware, machine, id, disk }) => {
    machine.ha = { state: "stopped", moveTo: "pve2" };
    assert.equal((await driver.inspect(id))!.managedBy, "ha");
    await driver.powerOn(id, 5);
    assert.ok(machine.running);
    assert.equal(machine.node, "pve2");
    assert.ok(emulator.tasks.all().some(({ type, exitStatus }) => type === "hastart" && exitStatus === "OK"));
    assert.equal(await driver.powerOff(id, { ...unforced, deadlineSeconds: 3 }), "graceful");
    assert.equal(machine.running, undefined);
    const { version } = (await driver.inspect(id))!;
    const swapped = await driver.attach(id, "scsi0", disk("vm-127-root-202309242151"), version);
    await driver.powerOn(id, 5);
    assert.equal(hardware.guest(127).starts.at(-1)!.get("scsi0"), "ceph:vm-127-root-202309242151");
    // Died by itself: HA will start it again, so nothing may be exchanged until HA knows better.
    machine.ha.isHeldUp = true;
    hardware.guest(127).crash!();
    await sleep(20);
    assert.equal((await driver.inspect(id))!.power, "off");
    const between = driver.attach(id, "scsi0", disk("vm-127-root-202301010000"), swapped);
    await assert.rejects(between, { code: "conflict", message: /HA starts/ });
    await driver.powerOff(id, { ...unforced, deadlineSeconds: 3 });
    machine.ha.isHeldUp = false;
    await sleep(400);
    assert.equal(machine.running, undefined, "HA was told");
    await driver.attach(id, "scsi0", disk("vm-127-root-202301010000"), swapped);
  }));

test("HA that does nothing is told after the deadline", () =>
  withCluster({ seconds: { ha: 60 } }, async ({ driver, machine, id }) => {
    machine.ha = { state: "stopped" };
    await assert.rejects(driver.powerOn(id, 1), { code: "unknown-outcome", message: /managed by HA/ });
  }));

test("changes of one machine come one after the other, of a node a few at a time, without lost locks", () =>
  withCluster({ driver: { parallelPerNode: 2 }, seconds: { lock: 0.01 } }, async ({ driver, emulator, images }) => {
    let now = 0;
    let most = 0;
    const ids = Array.from({ length: 6 }, (_, index) => 300 + index);
    for (const vmid of ids) {
      images.set(`vm-${vmid}-root`, 1024);
      emulator.addMachine(vmid, { name: `m${vmid}`, scsi0: `ceph:vm-${vmid}-root`, boot: "order=scsi0" });
    }
    await driver.list();
    const slow = async () => {
      most = Math.max(most, ++now);
      await sleep(50);
      now--;
    };
    emulator.fault({ method: "POST", path: /start$/, kind: "meanwhile", happens: slow, times: 100 });
    await Promise.all(ids.flatMap((vmid) => [1, 2].map(() => driver.powerOn({ name: "", vmid }, 5))));
    assert.equal(most, 2);
    assert.equal(emulator.tasks.all().length, ids.length);
    assert.ok(emulator.tasks.all().every(({ exitStatus }) => exitStatus === "OK"));
  }));

test("a shutdown that hangs is set aside by the power cut, its lock included", () =>
  withCluster({}, async ({ driver, connect, hardware, machine, id }) => {
    await driver.powerOn(id, 5);
    hardware.guest(127).obeys = false;
    const slow = connect().powerOff(id, { ...unforced, deadlineSeconds: 30 });
    while (!machine.abortShutdown) await sleep(10);
    assert.equal(await driver.powerOff(id, { ...forced, graceful: false }), "forced");
    assert.equal(machine.running, undefined);
    assert.equal(await slow, "forced", "it did not go off in order");
  }));
