import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  baseFileSystems,
  baseServices,
  bookworm,
  fileSystem,
  inherit,
  label,
  modifyServices,
  type OperatingSystem,
  operatingSystem,
  remove,
  userAccount,
} from "../index.ts";
import { administrators, chrony, dhcpNetworking, openssh, rsyslog, staticNetworking } from "../services/index.ts";
import { type BootedSystem, onDisk, withBootedSystem } from "../test-support/booted-system.ts";
import { assertConsoleLogin, assertHealthy } from "../test-support/healthy-system.ts";
import { newSshKey } from "../test-support/ssh-key.ts";
import { testSession } from "../test-support/test-session.ts";
import { openSystem } from "./open-system.ts";
import { prepareSystem } from "./prepare.ts";

/**
 * Every firmware, file system, output and release meets in four boots. Under emulation a boot takes 20 to 40 s,
 * so each is asked everything.
 */
const folder = mkdtempSync(join(tmpdir(), "meso-boots-"));
/** crypt(5) of "secret". */
const bobsPassword = "$6$meso$GuhN7U9jnd1k/Q1FA9iRvWjgHs2DLhDjmv.suNHu/JTzvj5typqGR4clRFYeyUZkN7QVog0/izehgnHJDr092.";
let key: ReturnType<typeof newSshKey>;
before(() => {
  key = newSshKey(folder);
});
after(() => rmSync(folder, { recursive: true, force: true }));

test("mini-1, written raw by the command line: ext4 by SeaBIOS and GRUB; root logs in on the console", async () => {
  const project = fileURLToPath(new URL("../..", import.meta.url));
  const example = join(project, "examples", "mini-1.ts");
  const session = testSession();
  const prepared = await prepareSystem(session, await openSystem(example));
  const path = join(folder, "mini-1.img");
  const places = ["--lock", session.lockFile, "--store", session.store.directory, "-o", path];
  const meso = join(project, "bin", "meso.mjs");
  execFileSync(process.execPath, [meso, "system", "image", example, ...places], { stdio: "pipe" });
  await onDisk(prepared, { firmware: "bios" }, { kind: "raw", path }, async (system) => {
    await assertConsoleLogin(system);
    await assertHealthy(system);
    assert.equal(await system.run("findmnt -no FSTYPE,OPTIONS /"), "ext4 rw,relatime");
    assert.equal(await system.run("readlink -f /etc/localtime"), "/usr/share/zoneinfo/Etc/UTC");
    assert.equal(await system.run("[ -d /sys/firmware/efi ] || echo bios"), "bios");
    await assertPowersOff(system);
  });
});

test("a server over NBD: EROFS under a volatile layer, OVMF and systemd-boot, a fixed address", async () => {
  await withBootedSystem(server("erofs", "fixed"), { firmware: "uefi", output: "nbd" }, async (system) => {
    const { machine, run } = system;
    await machine.console.waitFor("srv login:", 40);
    await machine.agent.ping(60);
    await assertHealthy(system);
    await assertServes(system);
    assert.equal(await run("findmnt -no FSTYPE /; findmnt -no FSTYPE /run/meso/root"), "overlay\nerofs");
    assert.equal(await run("[ -d /sys/firmware/efi ] && echo uefi"), "uefi");
    assert.match(await run("ip -4 -br address show eth0"), /\s10\.0\.2\.15\/24\s*$/);
    assert.equal(await run("cat /etc/resolv.conf"), "nameserver 10.0.2.3");

    const identity = await run("cat /etc/machine-id");
    await run("echo kept > /etc/written; rm /etc/hostname; systemd-run --on-active=1 systemctl reboot");
    await machine.console.waitFor("reboot: Restarting system", 30);
    await machine.console.waitFor("srv login:", 40);
    await machine.agent.ping(60);
    assert.equal(await run("systemctl is-system-running --wait"), "running");
    assert.equal(
      await run("cat /etc/written 2>&1 || cat /etc/hostname"),
      "cat: /etc/written: No such file or directory\nsrv",
    );
    assert.notEqual(await run("cat /etc/machine-id"), identity);
    await assertPowersOff(system);
  });
});

test("the same server from qcow2: ext4 by SeaBIOS and GRUB, an address by DHCP", async () => {
  await withBootedSystem(server("ext4", "dhcp"), { firmware: "bios", output: "qcow2" }, (system) =>
    assertServerByDhcp(system, "trixie"),
  );
});

test("the same server of bookworm: EROFS by SeaBIOS over NBD", async () => {
  const os = inherit(server("erofs", "dhcp"), { channel: bookworm });
  await withBootedSystem(os, { firmware: "bios", output: "nbd" }, async (system) => {
    await assertServerByDhcp(system, "bookworm");
  });
});

async function assertServerByDhcp(system: BootedSystem, release: string): Promise<void> {
  await system.machine.console.waitFor("srv login:", 40);
  await system.machine.agent.ping(60);
  await assertHealthy(system);
  await assertServes(system);
  assert.equal(await system.run(". /etc/os-release && echo $VERSION_CODENAME"), release);
  assert.equal(await system.run("readlink -f /etc/resolv.conf"), "/run/systemd/resolve/stub-resolv.conf");
  assert.match(await system.run("resolvectl dns eth0"), /10\.0\.2\.3/);
  await assertPowersOff(system);
}

/** What administrators expect of a server: ssh by key and only so, clock, logs, accounts, time zone. */
async function assertServes({ run, ssh }: BootedSystem): Promise<void> {
  const withKey = ["-i", key.file, "-o", "PasswordAuthentication=no"];
  const alice = await ssh([...withKey, "-l", "alice"], "id -un && sudo -n id -un && cat /etc/motd >/dev/null");
  assert.deepEqual(alice, { exitCode: 0, said: "alice\nroot\n" });
  assert.deepEqual(await ssh([...withKey, "-l", "root"], "id -un"), { exitCode: 0, said: "root\n" });
  // Bob has a password, and is not even asked.
  const bob = await ssh(["-o", "PubkeyAuthentication=no", "-o", "BatchMode=yes", "-l", "bob"], "id");
  assert.equal(bob.exitCode, 255);
  assert.match(bob.said, /Permission denied \(publickey\)/);

  assert.match(await run("chronyc tracking"), /^Reference ID/);
  assert.match(await run("chronyc -n sources"), /10\.0\.2\.2/);
  await run("logger -p auth.notice meso-was-here; sync");
  await run("for i in 1 2 3 4 5 6 7 8; do grep -q meso-was-here /var/log/auth.log && exit 0; sleep 1; done; exit 1");
  assert.match(await run("grep -m 1 'Linux version' /var/log/kern.log"), /kernel:/);
  assert.equal(await run("stat -c %U:%G:%a /var/log/syslog"), "root:adm:640");
  assert.equal(await run("date +%Z | grep -cE '^CES?T$'"), "1");
  assert.match(await run("getent passwd alice"), /^alice:x:\d+:\d+:Alice:\/home\/alice:\/bin\/bash$/);
  assert.match(await run("id -nG alice"), /^alice adm systemd-journal$/);
  // Keys of the host are made in the machine.
  assert.equal(await run("stat -c %a /var/lib/ssh/ssh_host_ed25519_key"), "600");
}

async function assertPowersOff({ machine }: BootedSystem): Promise<void> {
  await machine.agent.shutdown();
  const { exitCode } = await machine.exited;
  assert.equal(exitCode, 0);
  assert.match(machine.console.text(), /reboot: Power down/);
  assert.doesNotMatch(machine.console.text(), /Failed (unmounting|to unmount)|Timed out/);
}

function server(type: "ext4" | "erofs", address: "fixed" | "dhcp"): OperatingSystem {
  const fixed = staticNetworking({
    eth0: { addresses: ["10.0.2.15/24"], gateway: "10.0.2.2", nameServers: ["10.0.2.3"] },
  });
  const people = [{ name: "alice", comment: "Alice", authorizedKeys: [key.line] }];
  return operatingSystem({
    hostName: "srv",
    fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type }), ...baseFileSystems],
    kernelArguments: ["console=tty0", "console=ttyS0,115200"],
    timezone: "Europe/Paris",
    users: [userAccount({ name: "bob", passwordHash: bobsPassword })],
    services: [
      ...(address === "fixed" ? [...modifyServices(baseServices, remove(dhcpNetworking)), fixed] : baseServices),
      openssh(),
      chrony({ servers: ["10.0.2.2"], pools: [] }),
      rsyslog(),
      administrators({ rootKeys: [key.line], people }),
    ],
  });
}
