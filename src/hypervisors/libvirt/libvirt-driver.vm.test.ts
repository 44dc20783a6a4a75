import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { MesoError } from "../../base/error.ts";
import { diskRecipe } from "../../image/extent.ts";
import { writeQcow2 } from "../../image/output/qcow2.ts";
import { writeRaw } from "../../image/output/write-raw.ts";
import type { DiskLocation } from "../../pools/pool.ts";
import { type LibvirtDaemon, qemuProcesses, startLibvirt } from "../../test-support/libvirt-daemon.ts";
import { driverSuite } from "../driver-suite.testing.ts";
import type { HypervisorDriver, MachineSpec, MachineState } from "../hypervisor.ts";
import { libvirtDriver } from "./libvirt-driver.ts";
import { type Virsh, virsh } from "./virsh.ts";

const files = { segmentDataPath: () => "" };

driverSuite("libvirt", async () => {
  const folder = mkdtempSync(join(tmpdir(), "meso-libvirt-disks-"));
  const daemon = await startLibvirt();
  const connection = virsh(daemon.uri);
  return {
    driver: libvirtDriver({ uri: daemon.uri, domainType: "qemu" }),
    id: (number) => ({ name: `toy-${number}` }),
    spec: { nics: [{ network: "user", mac: "52:54:00:00:00:01" }] },
    disk: async (_, name, recipe) => {
      const path = join(folder, `${name} & 'disk'.raw`);
      writeRaw(recipe, path, files);
      return { kind: "file", path, format: "raw" };
    },
    diskExists: async (disk) => disk.kind === "file" && existsSync(disk.path),
    setOption: async ({ name }) => {
      const text = await connection.run(["dumpxml", name, "--inactive"]);
      const input = text.replace(
        "<driver name='qemu' type='raw'",
        "<driver name='qemu' type='raw' cache='writethrough'",
      );
      await connection.run(["define", "/dev/stdin"], { input });
      return "cache='writethrough'";
    },
    close: async () => {
      await daemon.stop();
      rmSync(folder, { recursive: true });
    },
  };
});

describe("libvirt, in detail", { timeout: 900_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "meso-libvirt-detail-"));
  let daemon: LibvirtDaemon;
  let connection: Virsh;
  let driver: HypervisorDriver;
  const cut = { graceful: false, deadlineSeconds: 5, force: true };
  const spec = (name: string, more: Partial<MachineSpec> = {}): MachineSpec => ({
    ...{ id: { name }, architecture: "amd64", cores: 1, memoryMebibytes: 64, firmware: "bios", nics: [] },
    ...{ description: "tries <libvirt> & 'quotes' ✓", ...more },
  });
  const empty = (name: string, format: "raw" | "qcow2" = "raw"): DiskLocation => {
    const path = join(folder, name);
    (format === "raw" ? writeRaw : writeQcow2)(diskRecipe(1 << 20, []), path, files);
    return { kind: "file", path, format };
  };
  const state = async (name: string): Promise<MachineState> => (await driver.inspect({ name }))!;
  const described = (name: string, ...flags: string[]) => connection.run(["dumpxml", name, "--inactive", ...flags]);
  const redefined = async (name: string, change: (text: string) => string) => {
    const text = await described(name, "--security-info");
    const input = change(text);
    assert.notEqual(input, text);
    await connection.run(["define", "/dev/stdin"], { input });
  };

  before(async () => {
    daemon = await startLibvirt();
    connection = virsh(daemon.uri);
    driver = libvirtDriver({ uri: daemon.uri, domainType: "qemu" });
  });
  after(async () => {
    await daemon?.stop();
    rmSync(folder, { recursive: true });
  });

  test("a swap changes the source and not a byte else; passwords and other people's notes stay", async () => {
    const id = { name: "detail" };
    const nics = [{ network: "user", mac: "52:54:00:AA:00:01" }];
    await driver.define(spec("detail", { firmware: "uefi", nics }));
    await redefined("detail", (text) =>
      text
        .replace("</metadata>", "<x:note xmlns:x='urn:x'>keep &amp; me</x:note></metadata>")
        .replace("</devices>", "<graphics type='vnc' passwd='vnc-word'><listen type='socket'/></graphics></devices>"),
    );
    let { version } = await state("detail");
    version = await driver.attach(id, "scsi0", empty("root-1"), version, { serial: "root", boot: true });
    version = await driver.attach(id, "virtio1", empty("data", "qcow2"), version, { serial: "x".repeat(20) });
    version = await driver.attach(id, "sata0", empty("more"), version);
    const before = await described("detail", "--security-info");
    assert.match(before, /passwd='vnc-word'/);
    assert.match(before, /keep &amp; me/);
    assert.match(
      before,
      /<mesoforge:machine xmlns:mesoforge="urn:mesoforge:libvirt:1" name="detail">tries &lt;libvirt/,
    );
    assert.match(before, /<boot order='1'\/>/);
    assert.ok(!/<boot dev=/.test(before) && /<controller type='scsi' index='0' model='virtio-scsi'>/.test(before));
    assert.deepEqual(
      [...(await state("detail")).slots].map(([slot, { volume }]) => [slot, volume.slice(folder.length + 1)]).sort(),
      [
        ["sata0", "more"],
        ["scsi0", "root-1"],
        ["virtio1", "data"],
      ],
    );
    const swapped = await driver.attach(id, "scsi0", empty("root-2"), version);
    assert.equal(await described("detail", "--security-info"), before.replace("/root-1'", "/root-2'"));
    const back = await driver.attach(id, "scsi0", empty("root-1"), swapped);
    assert.equal(await described("detail", "--security-info"), before);
    assert.equal(back, version, "the same configuration has the same version");
    // The firmware is found, and the machine starts with its own variables; its configuration does not change by that.
    await driver.powerOn(id, 30);
    assert.equal((await state("detail")).power, "on");
    assert.equal((await state("detail")).version, version);
    assert.equal((await state("detail")).staged.size, 0);
    assert.equal(await driver.powerOff(id, cut), "forced");
    assert.equal((await state("detail")).version, version);
    await driver.remove(id);
    assert.ok(["root-1", "root-2", "data", "more"].every((name) => existsSync(join(folder, name))));
  });

  test("credentials lie in files of libvirt's, are on no command line, and go with the machine", async () => {
    const id = { name: "secretive" };
    await driver.define(spec("secretive"));
    await redefined("secretive", (text) =>
      text.replace("</name>", "</name><sysinfo type='fwcfg'><entry name='opt/other'>kept</entry></sysinfo>"),
    );
    const before = await described("secretive");
    const give = driver.giveCredentials!;
    await give(id, new Map([["munge-key", "value one, &"]]));
    await give(id, new Map([["own", "value two\n"]]), { keepsOthers: true });
    const text = await described("secretive");
    assert.match(text, /<entry name='opt\/other'>kept<\/entry>/);
    assert.doesNotMatch(text, /value (one|two)/);
    await give(id, new Map([["own", "value 2"]]), { keepsOthers: true });
    assert.equal(await described("secretive"), text, "another value is no other configuration");

    await driver.powerOn(id, 30);
    const [pid] = qemuProcesses("secretive");
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8");
    assert.doesNotMatch(words, /value/);
    const files = [...words.matchAll(/name=opt\/io\.systemd\.credentials\/([^,]+),file=([^\0]+)/g)].map(
      ([, name, path]) => [name, `/proc/${pid}/root${path}`] as const,
    );
    assert.deepEqual(
      files.map(([name, path]) => [name, readFileSync(path, "utf8"), statSync(path).mode & 0o777]),
      [
        ["munge-key", "value one, &", 0o600],
        ["own", "value 2", 0o600],
      ],
    );
    await give(id, new Map([["own", "value 2"]]));
    assert.deepEqual(
      files.map(([, path]) => existsSync(path)),
      [false, true],
    );
    assert.equal(await driver.powerOff(id, cut), "forced");
    await give(id, new Map());
    assert.equal(await described("secretive"), before);
    await give(id, new Map([["own", "value 3"]]));
    await driver.remove(id);
    assert.doesNotMatch(await connection.run(["vol-list", "--pool", "meso-credentials"]), /secretive/);
  });

  test("defining again brings cores, memory and cards up to date, and leaves the rest", async () => {
    await connection.run(["net-define", "/dev/stdin"], {
      input: "<network><name>lan</name><bridge name='mbr9'/></network>",
    });
    const macs = ["52:54:00:00:00:01", "52:54:00:00:00:02", "52:54:00:00:00:03"] as const;
    const nics = [
      { network: "user", mac: macs[0] },
      { network: "lan", mac: macs[1], tag: 7 },
    ];
    await driver.define(spec("again", { nics }));
    await redefined("again", (text) => text.replace("<model type='virtio'/>", "<model type='e1000'/>"));
    const before = await described("again");
    await driver.define(spec("again", { nics }));
    assert.equal(await described("again"), before);
    const more = {
      nics: [...nics, { network: "lan", mac: macs[2] }],
      cores: 2,
      memoryMebibytes: 96,
      description: "new",
    };
    await driver.define(spec("again", more));
    const after = await described("again");
    assert.match(after, /<memory unit='KiB'>98304<\/memory>\s*<currentMemory unit='KiB'>98304</);
    assert.match(after, /<vcpu placement='static'>2<\/vcpu>/);
    assert.match(after, /<description>new<\/description>/);
    assert.match(after, /<mesoforge:machine [^>]*>new</);
    assert.match(after, new RegExp(`<mac address='${macs[0]}'/>\\s*<model type='e1000'/>`));
    assert.match(after, new RegExp(`<mac address='${macs[2]}'/>\\s*<source network='lan'/>`));
    const address = (text: string) => new RegExp(`${macs[1]}[\\s\\S]*?<address ([^>]*)>`).exec(text)![1];
    await driver.define(spec("again", { ...more, nics: [{ network: "lan", mac: macs[1] }] }));
    const fewer = await described("again");
    assert.equal(fewer.match(/<interface /g)!.length, 1);
    assert.ok(!fewer.includes("<vlan>") && address(fewer) === address(before), "it keeps its place on the bus");
    const refused: [Partial<MachineSpec>, RegExp][] = [
      [{ firmware: "uefi" }, /exists on libvirt with the firmware bios/],
      [{ architecture: "m68k" }, /m68k/],
      [{ nics: [{ network: "wan", mac: macs[0] }] }, /no network wan\n {2}expected: user, lan/],
      [{ nics: [{ network: "user", mac: macs[0], forwards: { 2222: 22 } }] }, /forwards ports/],
      [{ nics: [{ network: "user", mac: "no" }] }, /mac/i],
    ];
    for (const [wrong, words] of refused) {
      await assert.rejects(driver.define(spec("again", wrong)), (error: MesoError) => {
        assert.match(error.message, words);
        return error.code === "invalid-setting";
      });
    }
    assert.equal(await described("again"), fewer);
    await driver.remove({ name: "again" });
  });

  test("a machine that somebody else made: its slots are seen, its root swapped, its words kept", async () => {
    empty("theirs");
    const text = `<domain type='qemu'><name>theirs</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
      <os><type arch='x86_64' machine='pc'>hvm</type><boot dev='cdrom'/><boot dev='hd'/></os><devices>
      <disk type='file' device='disk'><driver name='qemu' type='raw' io='threads'/>
        <source file='${join(folder, "theirs")}' startupPolicy='optional'/><target dev='vda' bus='virtio'/></disk>
      <disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk></devices></domain>`;
    await connection.run(["define", "/dev/stdin"], { input: text });
    const id = { name: "theirs" };
    assert.deepEqual([...(await state("theirs")).slots.keys()], ["virtio0"]);
    assert.equal((await state("theirs")).hasAgent, false);
    const before = await described("theirs");
    let { version } = await state("theirs");
    version = await driver.attach(id, "virtio0", empty("ours", "qcow2"), version, { serial: "ignored", boot: true });
    assert.equal(
      await described("theirs"),
      before.replace("/theirs'", "/ours'").replace("type='raw' io", "type='qcow2' io"),
    );
    await assert.rejects(driver.attach(id, "scsi0", empty("first"), version, { boot: true }), /starts from cdrom, hd/);
    version = await driver.attach(id, "scsi0", empty("first"), version);
    assert.match(await described("theirs"), /<controller type='scsi' index='0' model='virtio-scsi'>/);
    await driver.define(spec("theirs", { description: "adopted" }));
    assert.match(await described("theirs"), /<boot dev='cdrom'\/>[\s\S]*startupPolicy='optional'/);
    await driver.remove(id);
  });

  test("what others do meanwhile is seen, and never overwritten", async () => {
    const id = { name: "busy" };
    await driver.define(spec("busy"));
    const seen = (await state("busy")).version;
    const root = await driver.attach(id, "scsi0", empty("busy-root", "qcow2"), seen, { boot: true });
    // Two at once, who have seen the same: one wins.
    const both = await Promise.allSettled([
      driver.attach(id, "scsi0", empty("left"), root),
      driver.attach(id, "scsi0", empty("right"), root),
    ]);
    assert.deepEqual(both.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
    const lost = both.find((each) => each.status === "rejected")!;
    assert.equal((lost.reason as MesoError).code, "conflict");
    // Somebody edits the machine.
    const mine = (await state("busy")).version;
    await redefined("busy", (text) => text.replace("<on_crash>destroy", "<on_crash>restart"));
    await assert.rejects(driver.attach(id, "scsi0", empty("busy-root", "qcow2"), mine), { code: "conflict" });
    await driver.attach(id, "scsi0", empty("busy-root", "qcow2"), (await state("busy")).version);
    assert.match(await described("busy"), /<on_crash>restart/);

    // On, and changed for the next start.
    await driver.powerOn(id, 30);
    await redefined("busy", (text) => text.replace("/busy-root'", "/staged'").replace("type='qcow2'", "type='raw'"));
    await connection.run(["attach-disk", "busy", join(folder, "left"), "sdb", "--targetbus", "scsi", "--config"]);
    let now = await state("busy");
    assert.equal(now.slots.get("scsi0")?.volume, join(folder, "busy-root"));
    assert.deepEqual([...now.staged].sort(), [
      ["scsi0", join(folder, "staged")],
      ["scsi1", join(folder, "left")],
    ]);
    await assert.rejects(driver.attach(id, "scsi0", empty("staged"), now.version), { code: "busy-retry" });
    await connection.run(["detach-disk", "busy", "sdb", "--config"]);
    await connection.run(["detach-disk", "busy", "sda", "--config"]);
    assert.deepEqual([...(await state("busy")).staged], [["scsi0", "remove"]]);

    // Stopped in its tracks.
    await connection.run(["suspend", "busy"]);
    assert.equal((await state("busy")).power, "paused");
    await driver.powerOn(id, 30);
    assert.equal((await state("busy")).power, "on");
    await connection.run(["suspend", "busy"]);
    await assert.rejects(driver.remove(id), { code: "busy-retry" });
    const soon = { graceful: true, deadlineSeconds: 1, force: true };
    assert.equal(await driver.powerOff(id, soon), "forced");

    // Its memory put aside: to start it upon another root would ruin that.
    now = await state("busy");
    await driver.attach(id, "scsi0", empty("busy-root", "qcow2"), now.version, { boot: true });
    await connection.run(["snapshot-create-as", "busy", "before"]);
    assert.deepEqual((await state("busy")).snapshots, ["before"]);
    await driver.powerOn(id, 30);
    await connection.run(["managedsave", "busy"]);
    now = await state("busy");
    assert.equal(now.power, "off");
    assert.match(now.busy!, /managedsave/);
    await assert.rejects(driver.attach(id, "scsi0", empty("left"), now.version), { code: "machine-locked" });
    await driver.remove(id);
    assert.equal(await driver.inspect(id), undefined);
    assert.ok(existsSync(join(folder, "busy-root")));
  });

  test("a QEMU that dies leaves a machine that is off; a transient one is told as such, and gone when off", async () => {
    // The only one of that name on this host, whoever else runs this test.
    const name = `dies-${process.pid}`;
    const id = { name };
    await driver.define(spec(name));
    await driver.powerOn(id, 30);
    const [pid, ...others] = qemuProcesses(name);
    assert.ok(pid !== undefined && others.length === 0);
    process.kill(pid, "SIGKILL");
    for (let i = 0; i < 100 && (await state(name)).power !== "off"; i++) await sleep(50);
    assert.equal((await state(name)).power, "off");
    const text = (await described(name)).replace(`<name>${name}`, "<name>passing").replace(/<uuid>.*<\/uuid>/, "");
    await connection.run(["create", "/dev/stdin"], { input: text });
    const passing = await state("passing");
    assert.match(passing.busy!, /transient/);
    assert.equal(await driver.powerOff({ name: "passing" }, cut), "forced");
    assert.equal(await driver.inspect({ name: "passing" }), undefined);
    assert.deepEqual(
      (await driver.list()).map((each) => each.id.name),
      [name],
    );
  });

  test("one listens to a console at a time, and gives it back at once; of a machine that is off there is nothing", async () => {
    const id = { name: "told" };
    const listen = () => driver.console(id)![Symbol.asyncIterator]();
    await driver.define(spec("told"));
    assert.equal((await listen().next()).done, true);
    await driver.powerOn(id, 30);
    // Nothing is ever written there: whoever comes late hears only that he is refused.
    const both = [listen(), listen()];
    const ends = both.map((each) =>
      each.next().then(
        () => "silence",
        (error: MesoError) => error.code,
      ),
    );
    assert.equal(await Promise.race(ends), "machine-locked");
    await Promise.all(both.map((each) => each.return!()));
    assert.deepEqual((await Promise.all(ends)).sort(), ["machine-locked", "silence"]);
    const isFree = async () => {
      const again = listen();
      const refused = again.next().then(
        () => true,
        () => false,
      );
      const free = await Promise.race([refused, sleep(1500, true)]);
      await again.return!();
      return free;
    };
    let free = false;
    for (let i = 0; i < 10 && !free; i++) free = await isFree();
    assert.ok(free, "the line is given back");
    await driver.powerOff(id, cut);
    await driver.remove(id);
  });

  test("what is missing is told: the secret, the daemon, the right; a dead connection is no empty list", async () => {
    const needs = { machines: [], storages: [], defines: false };
    const uuid = "11111111-2222-4333-8444-555555555555";
    const withSecret = libvirtDriver({ uri: daemon.uri, cephSecret: uuid });
    assert.match((await withSecret.check(needs))[0]!.hint!, /secret-set-value with the key as base64/);
    const secretXml = (type: string, more: string) =>
      `<secret ephemeral='no' private='yes'><uuid>${uuid}</uuid><usage type='${type}'>${more}</usage></secret>`;
    await connection.run(["secret-define", "/dev/stdin"], { input: secretXml("iscsi", "<target>t</target>") });
    assert.match((await withSecret.check(needs))[0]!.what, /is for iscsi/);
    await connection.run(["secret-undefine", uuid]);
    await connection.run(["secret-define", "/dev/stdin"], { input: secretXml("ceph", "<name>meso</name>") });
    assert.deepEqual(await withSecret.check(needs), []);
    const names = [{ name: "12" }, { name: "fine" }, { name: uuid }];
    assert.equal((await withSecret.check({ ...needs, machines: names })).length, 2);
    const nowhere = libvirtDriver({ uri: `qemu:///system?socket=${join(folder, "none")}` });
    assert.equal((await nowhere.check(needs))[0]!.code, "hypervisor-unreachable");
    await assert.rejects(nowhere.list(), { code: "hypervisor-unreachable" });
    await assert.rejects(nowhere.inspect({ name: "a" }), { code: "hypervisor-unreachable" });
    await assert.rejects(nowhere.agent({ name: "a" }).ping(0.1), { code: "hypervisor-unreachable" });
    assert.deepEqual(driver.consoleCommand({ name: "a" }), ["virsh", "--connect", daemon.uri, "console", "a"]);
  });
});
