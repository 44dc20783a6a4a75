import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { DiskRecipe } from "../image/extent.ts";
import type { DiskLocation } from "../pools/pool.ts";
import type { HypervisorDriver, MachineId, MachineSpec, MachineState } from "./hypervisor.ts";
import { toySystem } from "./toy-system.testing.ts";

/** A hypervisor, and what only those who set it up know of it. */
export interface DriverUnderTest {
  readonly driver: HypervisorDriver;
  /** Of a machine that nobody else uses; other numbers, other machines. */
  readonly id: (number: 1 | 2) => MachineId;
  /** What a definition needs here beside the usual. */
  readonly spec: Pick<MachineSpec, "nics"> & { readonly node?: string };
  /** The disk key that holds the root: `scsi0` unless said. */
  readonly slot?: string;
  /** Puts a disk where the driver can open it, under a name that the machine may own. */
  readonly disk: (id: MachineId, name: string, recipe: DiskRecipe) => Promise<DiskLocation>;
  readonly diskExists: (disk: DiskLocation) => Promise<boolean>;
  /**
   * Where a machine's disks would be destroyed with it, and the driver refuses: takes a disk out of the hypervisor's reach.
   * Gives where it is then.
   */
  readonly release?: (disk: DiskLocation) => Promise<DiskLocation>;
  /**
   * Sets an option of the slot as an administrator would, behind the driver's back. Gives the text that `raw` must
   * contain from then on.
   */
  readonly setOption: (id: MachineId, slot: string) => Promise<string>;
  readonly close: () => Promise<void>;
}

/**
 * What every HypervisorDriver must do, tried on a real machine that boots in seconds. The tests of one run build on each
 * other, so that two boots are enough for all.
 *
 * @param slowness stretches deadlines: 1 on hardware, 8 emulated.
 */
export function driverSuite(title: string, make: () => Promise<DriverUnderTest>, slowness = 8): void {
  describe(title, { timeout: 900_000 }, () => {
    let toy: Awaited<ReturnType<typeof toySystem>>;
    let under: DriverUnderTest;
    let driver: HypervisorDriver;
    let id: MachineId;
    let slot: string;
    let first: DiskLocation;
    let second: DiskLocation;
    const seconds = (quick: number) => quick * slowness;
    const state = async (): Promise<MachineState> => {
      const found = await driver.inspect(id);
      assert.ok(found, `${id.name} is there`);
      return found;
    };
    const spec = (more: Partial<MachineSpec> = {}): MachineSpec => ({
      ...{ id, architecture: "amd64", cores: 1, memoryMebibytes: 256, firmware: "bios" as const },
      ...{ description: "tries a driver", ...under.spec, ...more },
    });

    before(async () => {
      toy = await toySystem();
      under = await make();
      driver = under.driver;
      id = under.id(1);
      slot = under.slot ?? "scsi0";
      first = await under.disk(id, "first", toy.disk("ext4", { name: "first" }));
      second = await under.disk(id, "second", toy.disk("ext4", { name: "second", withAgent: false }));
    });
    after(async () => {
      if (!under) return;
      for (const each of [under.id(1), under.id(2)]) {
        await driver.powerOff(each, { graceful: false, deadlineSeconds: seconds(5), force: true }).catch(() => {});
        await driver.remove(each).catch(() => {});
      }
      await under.close();
    });

    test("nothing is missing", async () => {
      assert.deepEqual(await driver.check({ machines: [], storages: [], defines: true }), []);
    });

    test("a machine that is not there", async () => {
      assert.equal(await driver.inspect(id), undefined);
      assert.ok(!(await driver.list()).some((machine) => machine.id.name === id.name));
      await assert.rejects(driver.powerOn(id, seconds(5)), { code: "no-machine" });
      const off = { graceful: false, deadlineSeconds: 1, force: true };
      await assert.rejects(driver.powerOff(id, off), { code: "no-machine" });
      await assert.rejects(driver.attach(id, slot, first, "version"), { code: "no-machine" });
      await driver.remove(id);
    });

    test("defined: off, without disks; defined again: brought up to date", async () => {
      await driver.define(spec());
      const { power, slots, staged, detached, version, snapshots } = await state();
      assert.deepEqual({ power, detached, snapshots }, { power: "off", detached: [], snapshots: [] });
      assert.deepEqual([slots.size, staged.size], [0, 0]);
      await driver.define(spec());
      assert.equal((await state()).version, version, "the same definition changes nothing");
      await driver.define(spec({ memoryMebibytes: 320 }));
      assert.notEqual((await state()).version, version);
      await driver.define({ ...spec(), id: under.id(2) });
      const names = (await driver.list()).map((machine) => machine.id.name);
      assert.ok(names.includes(id.name) && names.includes(under.id(2).name));
      assert.ok((await state()).hasAgent, "machines are defined with the agent's line");
    });

    test("a disk is attached when the configuration is the expected one; again is fine", async () => {
      const { version } = await state();
      await assert.rejects(driver.attach(id, slot, first, `${version}0`, { boot: true }), { code: "conflict" });
      assert.equal((await state()).slots.size, 0);
      const attached = await driver.attach(id, slot, first, version, { boot: true, serial: "root" });
      const now = await state();
      assert.equal(now.version, attached);
      assert.notEqual(attached, version);
      assert.equal(now.slots.get(slot)?.volume, driver.volumeName(first));
      assert.equal(now.staged.size, 0);
      assert.equal(await driver.attach(id, slot, first, attached, { boot: true, serial: "root" }), attached);
      await assert.rejects(driver.attach(id, slot, second, version), { code: "conflict" });
      assert.equal((await state()).slots.get(slot)?.volume, driver.volumeName(first));
    });

    test("on; on again is fine; the console is heard", async () => {
      await driver.powerOn(id, seconds(10));
      assert.equal((await state()).power, "on");
      const lines = driver.console(id);
      if (lines) await hears(lines, "TOY-NAME first", seconds(8));
      await driver.powerOn(id, seconds(10));
      assert.equal((await state()).power, "on");
    });

    test("the agent answers: commands with input and exit code, files", async () => {
      const agent = driver.agent(id);
      await agent.ping(30);
      const said = await agent.exec(["/bin/sh", "-c", "cat; echo wrong >&2; exit 3"], { input: "hello ✓" });
      assert.deepEqual(said, { exitCode: 3, stdout: "hello ✓", stderr: "wrong\n" });
      const bytes = Buffer.from(Array.from({ length: 5000 }, (_, index) => (index * 7) % 256));
      await agent.writeFile("/run/bytes", bytes);
      assert.ok((await agent.readFile("/run/bytes")).equals(bytes));
      await assert.rejects(agent.readFile("/run/none"), { code: "agent-refused" });
      await assert.rejects(agent.exec(["/bin/sleep", "600"], { deadline: 0.2 }), { code: "guest-timeout" });
      await Promise.all([agent.ping(30), driver.agent(id).ping(30)]);
    });

    test("a running machine keeps its disks and is not forgotten", async () => {
      const { version } = await state();
      await assert.rejects(driver.attach(id, slot, second, version), { code: "busy-retry" });
      await assert.rejects(driver.remove(id), { code: "busy-retry" });
      const now = await state();
      assert.equal(now.slots.get(slot)?.volume, driver.volumeName(first));
      assert.deepEqual([now.staged.size, now.power], [0, "on"]);
    });

    test("off by the agent; a deaf machine stays on unless force is allowed", async () => {
      const agent = driver.agent(id);
      await agent.writeFile("/run/deaf", Buffer.of());
      const unforced = { graceful: true, deadlineSeconds: seconds(0.5), force: false };
      await assert.rejects(driver.powerOff(id, unforced), { code: "power-off-timeout" });
      assert.equal((await state()).power, "on");
      await agent.exec(["/bin/busybox", "rm", "/run/deaf"]);
      const off = { graceful: true, deadlineSeconds: seconds(8), force: false };
      assert.equal(await driver.powerOff(id, off), "graceful");
      assert.equal((await state()).power, "off");
      assert.equal(await driver.powerOff(id, off), "was-off");
      await assert.rejects(driver.agent(id).ping(0.1), { code: "agent-silent" });
    });

    test("another disk in the same slot: every other option stays as it was", async () => {
      const option = await under.setOption(id, slot);
      const before = await state();
      assert.ok(before.slots.get(slot)!.raw.includes(option), `${before.slots.get(slot)!.raw} has ${option}`);
      await driver.attach(id, slot, second, before.version);
      const after = await state();
      assert.equal(after.slots.get(slot)!.volume, driver.volumeName(second));
      assert.ok(after.slots.get(slot)!.raw.includes(option));
      // What else was said of the disk is said still, word for word.
      await driver.attach(id, slot, first, after.version);
      assert.equal((await state()).slots.get(slot)!.raw, before.slots.get(slot)!.raw);
      await driver.attach(id, slot, second, (await state()).version);
      assert.ok(await under.diskExists(first));
    });

    test("it starts from the other disk; without an agent, the power button is heard", async () => {
      await driver.powerOn(id, seconds(10));
      const lines = driver.console(id);
      if (lines) await hears(lines, "TOY-WROTE", seconds(8));
      else await sleep(seconds(2) * 1000);
      const off = { graceful: true, deadlineSeconds: seconds(10), force: false };
      assert.equal(await driver.powerOff(id, off), "graceful");
    });

    test("cut off at once, and certainly off", async () => {
      await driver.powerOn(id, seconds(10));
      const cut = { graceful: false, deadlineSeconds: seconds(5), force: true };
      assert.equal(await driver.powerOff(id, cut), "forced");
      assert.equal((await state()).power, "off");
    });

    test("forgotten; its disks stay", async () => {
      if (under.release) {
        await assert.rejects(driver.remove(id), { code: "disk-in-use" });
        [first, second] = [await under.release(first), await under.release(second)];
      }
      await driver.remove(id);
      assert.equal(await driver.inspect(id), undefined);
      await driver.remove(id);
      assert.ok((await under.diskExists(first)) && (await under.diskExists(second)));
      assert.ok(await driver.inspect(under.id(2)), "others are not touched");
    });
  });
}

async function hears(lines: AsyncIterable<Uint8Array>, wanted: string, seconds: number): Promise<void> {
  let heard = "";
  const listen = (async () => {
    for await (const piece of lines) {
      heard += Buffer.from(piece).toString("latin1");
      if (heard.includes(wanted)) return true;
    }
    return false;
  })();
  const late = new AbortController();
  const given = sleep(seconds * 1000, false, { signal: late.signal, ref: false }).catch(() => false);
  const found = await Promise.race([listen, given]);
  late.abort();
  assert.ok(found, `the console says ${wanted} within ${seconds} s; heard:\n${heard.slice(-2000)}`);
}
