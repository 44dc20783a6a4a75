import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { diskRecipe } from "../image/extent.ts";
import { writeQcow2 } from "../image/output/qcow2.ts";
import { writeRaw } from "../image/output/write-raw.ts";
import { driverSuite } from "./driver-suite.testing.ts";
import type { MachineSpec } from "./hypervisor.ts";
import { qemuHost } from "./qemu-host.ts";
import { endProcess, findProcess, withMonitor } from "./qemu-host-process.ts";

const files = { segmentDataPath: () => "" };
const temporary: string[] = [];
/** A path that no socket's address would hold. */
const newFolder = () => {
  const folder = mkdtempSync(join(tmpdir(), `meso-host-${"long-".repeat(20)}`));
  temporary.push(folder);
  return folder;
};
after(() => {
  for (const folder of temporary) rmSync(folder, { recursive: true, force: true });
});

driverSuite("plain QEMU", async () => {
  const folder = newFolder();
  const driver = qemuHost({ directory: join(folder, "machines") });
  return {
    driver,
    id: (number) => ({ name: `toy-${number}` }),
    spec: { nics: [{ network: "user", mac: "52:54:00:00:00:01" }] },
    disk: async (_, name, recipe) => {
      const path = join(folder, `${name}, "disk".raw`);
      writeRaw(recipe, path, files);
      return { kind: "file", path, format: "raw" };
    },
    diskExists: async (disk) => disk.kind === "file" && existsSync(disk.path),
    setOption: async ({ name }, slot) => {
      const path = join(folder, "machines", name, "machine.json");
      const settings = JSON.parse(readFileSync(path, "utf8"));
      settings.disks[slot].device = { rotation_rate: 1 };
      writeFileSync(path, JSON.stringify(settings));
      return '"rotation_rate":1';
    },
    close: async () => {},
  };
});

describe("machines as processes of this host", { timeout: 600_000 }, () => {
  const folder = newFolder();
  const directory = join(folder, "machines");
  const driver = qemuHost({ directory });
  const id = { name: "empty" };
  const inside = join(directory, id.name);
  const cut = { graceful: false, deadlineSeconds: 5, force: true };
  const spec: MachineSpec = {
    ...{ id, architecture: "amd64", cores: 2, memoryMebibytes: 64, firmware: "uefi" },
    nics: [
      // Below what Linux gives to connections that ask for no number (ip_local_port_range): nobody has them by chance.
      { network: "user", mac: "52:54:00:00:00:01", forwards: { 20122: 22, 20180: 80 } },
      { network: "lan", mac: "52:54:00:00:00:02", tag: 7 },
      { network: "user", mac: "52:54:00:00:00:03" },
    ],
    description: "commas, 'quotes' and ✓",
  };
  const empty = (name: string, format: "raw" | "qcow2") => {
    const path = join(folder, name);
    (format === "raw" ? writeRaw : writeQcow2)(diskRecipe(1 << 20, []), path, files);
    return { kind: "file", path, format } as const;
  };
  after(() => endProcess(inside, 2));

  test("disks on three buses with serials, several cards, firmware variables of its own", async () => {
    await driver.define(spec);
    let { version } = (await driver.inspect(id))!;
    version = await driver.attach(id, "scsi3", empty("a", "raw"), version, { serial: "data" });
    version = await driver.attach(id, "virtio1", empty("b", "qcow2"), version, { serial: "x".repeat(20), boot: true });
    version = await driver.attach(id, "sata2", empty("c", "raw"), version, { boot: true });
    await assert.rejects(driver.attach(id, "virtio2", empty("d", "raw"), version, { serial: "x".repeat(21) }), {
      code: "invalid-setting",
    });
    await assert.rejects(driver.attach(id, "sata6", empty("d", "raw"), version), { code: "invalid-setting" });
    await driver.giveCredentials!(id, new Map([["munge-key", "the value"]]));
    await startElsewhere(driver.title, directory, id.name);
    assert.equal((await driver.inspect(id))!.power, "on");
    const kept = join(inside, "credentials/munge-key");
    assert.deepEqual([readFileSync(kept, "utf8"), statSync(kept).mode & 0o777], ["the value", 0o600]);
    const told = readFileSync(`/proc/${findProcess(inside)!.pid}/cmdline`, "utf8");
    assert.ok(told.includes(`name=opt/io.systemd.credentials/munge-key,file=${kept}`) && !told.includes("the value"));
    const words = readFileSync(`/proc/${findProcess(inside)!.pid}/cmdline`, "utf8").split("\0");
    assert.equal(words.filter((word) => word.includes('"bootindex":0')).length, 1, "it starts from one disk");
    const blocks = (await withMonitor(inside, 5, (monitor) => monitor.execute("query-block"))) as {
      qdev?: string;
      inserted?: { drv: string };
    }[];
    const drivers = blocks.filter(({ qdev }) => qdev?.includes("disk-")).map(({ inserted }) => inserted?.drv);
    assert.deepEqual(drivers.sort(), ["qcow2", "raw", "raw"]);
    const cards = (await withMonitor(inside, 5, (monitor) => monitor.execute("query-rx-filter"))) as {
      "main-mac": string;
    }[];
    assert.deepEqual(
      cards.map((card) => card["main-mac"]),
      spec.nics.map(({ mac }) => mac),
    );
    assert.ok(existsSync(join(inside, "variables.fd")));
  });

  test("the console's command attaches a terminal; Ctrl-] leaves", () => {
    const [program, ...args] = driver.consoleCommand(id)!;
    const attach = (input: string) => spawnSync(program!, args, { input, encoding: "utf8", timeout: 20_000 });
    assert.equal(attach("\x1d").status, 0);
    assert.equal(attach("\x1d").status, 0, "the first has left");
    const [, , ...other] = driver.consoleCommand({ name: "other" })!;
    const off = spawnSync(program!, [args[0]!, ...other], { encoding: "utf8" });
    assert.deepEqual([off.status, off.stderr.includes("the machine is off")], [1, true]);
  });

  test("settings changed while it runs are told as staged", async () => {
    const path = join(inside, "machine.json");
    const settings = JSON.parse(readFileSync(path, "utf8"));
    const { scsi3, ...disks } = settings.disks;
    writeFileSync(path, JSON.stringify({ ...settings, disks: { ...disks, scsi4: scsi3 } }));
    const { slots, staged } = (await driver.inspect(id))!;
    assert.deepEqual([...slots.keys()].sort(), ["sata2", "scsi3", "virtio1"]);
    assert.deepEqual(Object.fromEntries(staged), { scsi3: "remove", scsi4: join(folder, "a") });
    writeFileSync(path, JSON.stringify(settings));
    assert.equal((await driver.inspect(id))!.staged.size, 0);
  });

  test("paused, crashed and off are told apart", async () => {
    await withMonitor(inside, 5, (monitor) => monitor.execute("stop"));
    assert.equal((await driver.inspect(id))!.power, "paused");
    await driver.powerOn(id, 20);
    assert.equal((await driver.inspect(id))!.power, "on");
    const { pid, isAlive } = findProcess(inside)!;
    process.kill(pid, "SIGKILL");
    while (isAlive()) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal((await driver.inspect(id))!.power, "crashed");
    await driver.powerOn(id, 40);
    const again = findProcess(inside)!;
    assert.notEqual(again.pid, pid);
    // As when the machine powers off: QEMU ends by itself.
    await withMonitor(inside, 5, (monitor) => monitor.execute("quit"));
    while (again.isAlive()) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal((await driver.inspect(id))!.power, "off");
  });

  test("a number that was given to another process is not taken for the machine's", async () => {
    writeFileSync(join(inside, "pid"), `${process.pid}\n`);
    assert.equal((await driver.inspect(id))!.power, "crashed");
    assert.equal(await driver.powerOff(id, cut), "was-off");
    assert.equal((await driver.inspect(id))!.power, "off");
  });

  test("a disk that another machine has open, and a port that is taken, are named", async () => {
    const other = { name: "other" };
    const elsewhere = join(directory, "other");
    await driver.define({ ...spec, id: other, firmware: "bios", nics: [] });
    const { version } = (await driver.inspect(other))!;
    await driver.attach(other, "scsi0", empty("a", "raw"), version);
    try {
      await driver.powerOn(other, 40);
      await assert.rejects(driver.powerOn(id, 40), { code: "disk-in-use" });
      assert.equal((await driver.inspect(id))!.power, "off");
      await driver.powerOff(other, cut);
      await driver.powerOn(id, 40);
      const third = { name: "third" };
      await driver.define({ ...spec, id: third, firmware: "bios" });
      await assert.rejects(driver.powerOn(third, 40), /another program listens on that port/);
      assert.equal((await driver.inspect(third))!.power, "off");
      await driver.remove(third);
      await driver.powerOff(id, cut);
    } finally {
      await endProcess(elsewhere, 2);
    }
  });

  test("one works on a machine at a time; one that was killed holds nobody up", async () => {
    const holding = `
      import { lock } from ${JSON.stringify(new URL("../store/lock.ts", import.meta.url).href)};
      await lock(${JSON.stringify(join(directory, ".empty.lock"))});
      console.log("held");
      setInterval(() => {}, 1000);
    `;
    const child = spawn(process.execPath, ["--input-type=module", "-e", holding]);
    await new Promise((resolve) => child.stdout.once("data", resolve));
    const { power, busy } = (await driver.inspect(id))!;
    assert.equal(power, "changing");
    assert.match(busy!, new RegExp(`process ${child.pid}`));
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
    assert.equal((await driver.inspect(id))!.power, "off");
    await driver.define(spec);
  });

  test("settings that make no sense are refused; a half-removed folder is none", async () => {
    const path = join(inside, "machine.json");
    await driver.define({ ...spec, cores: 3 });
    const whole = readFileSync(path, "utf8");
    const wrong = [
      whole.slice(0, -20),
      "[]",
      whole.replace('"formatVersion": 1', '"formatVersion": 2'),
      whole.replace('"uefi"', '"coreboot"'),
      whole.replace('"cores": 3', '"cores": "3"'),
      whole.replace(/"path": "[^"]*"/, '"path": 7'),
    ];
    for (const text of wrong) {
      writeFileSync(path, text);
      await assert.rejects(driver.inspect(id), { code: "invalid-setting" }, text.slice(0, 100));
    }
    rmSync(path);
    assert.equal(await driver.inspect(id), undefined);
    assert.deepEqual(
      (await driver.list()).map((machine) => machine.id.name),
      ["other"],
    );
    await driver.define(spec);
    assert.deepEqual(readdirSync(inside), ["machine.json"], "nothing of the former machine");
    for (const name of ["", "..", "a/b", ".hidden"]) {
      assert.throws(() => driver.agent({ name }), { code: "invalid-setting" });
    }
  });
});

/** Another process starts the machine, and ends. */
async function startElsewhere(title: string, directory: string, name: string): Promise<void> {
  assert.ok(title.includes(directory));
  const program = `
    import { qemuHost } from ${JSON.stringify(new URL("./qemu-host.ts", import.meta.url).href)};
    await qemuHost({ directory: ${JSON.stringify(directory)} }).powerOn({ name: ${JSON.stringify(name)} }, 40);
  `;
  const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
}
