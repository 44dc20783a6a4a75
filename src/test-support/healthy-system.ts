import assert from "node:assert/strict";
import type { BootedSystem } from "./booted-system.ts";

/** What `dpkg -V` may name: files that services write instead of the package, and say so (replacesPackageFile). */
const replacedByDesign = new Set(["/etc/issue", "/etc/pam.d/login", "/etc/rsyslog.conf"]);

/** What the kernel and systemd say at warning level on QEMU's emulated hardware, which no image can change. */
const expectedWarnings: readonly RegExp[] = [
  // SeaBIOS and OVMF set memory types up on the first processor only.
  /mtrr: your CPUs had inconsistent/,
  // The emulated processor lacks what its model promises, and its clock depends on the host's load.
  /amd_pstate: the _CPC object is not present/,
  /Unstable clock detected|trace_clock=local|keep using the local clock|on the kernel command line/,
  /APIC calibration|hrtimer: interrupt took|tsc: |clocksource: |hpet: |sched_clock: |calibrate_delay_direct|rcu: |watchdog: |kvm_amd: |kauditd|workqueue: /,
  // virtio-scsi announces its disk so.
  /Power-on or device reset occurred/,
  // A build option of bookworm's kernel.
  /CONFIG_IMA_DISABLE_HTABLE/,
  // The kernel's names are asked for; this systemd says what may happen on machines of several cards.
  /based on potentially unpredictable interface name/,
];

/**
 * What holds for every system, whatever its file systems and services: it is up, whole and quiet.
 * Each question is answered by the machine's own programs.
 */
export async function assertHealthy({ run, machine, prepared }: BootedSystem): Promise<void> {
  const { hostName } = prepared.manifest;
  assert.equal(await run("systemctl is-system-running --wait"), "running");
  assert.equal(await run("systemctl --failed --no-legend"), "");
  assert.match(await run("systemd-analyze"), /^Startup finished in /);
  assert.equal(await run("hostname"), hostName);
  assert.match(await run("cat /etc/machine-id"), /^[0-9a-f]{32}$/);
  assert.equal(await run("findmnt -no FSTYPE /tmp"), "tmpfs");
  assert.equal(await run("ls /sys/class/net"), "eth0\nlo");
  await run("runuser -u nobody -- ping -c 1 -W 5 127.0.0.1");
  assert.match(await run("getent passwd root nobody"), /^root:x:0:0:.*\nnobody:x:65534:65534:/);
  assert.match(await run("findmnt --verify"), /Success, no errors or warnings detected/);

  const changed = await run("dpkg -V || true");
  const unexpected = changed.split("\n").filter((line) => line && !replacedByDesign.has(line.slice(line.indexOf("/"))));
  assert.deepEqual(unexpected, []);
  const installed = (await run("dpkg -l")).split("\n").filter((line) => line.startsWith("ii "));
  assert.deepEqual(
    installed.map((line) => line.split(/\s+/)[1]!.split(":")[0]!).sort(),
    prepared.packages.map(({ name }) => name).sort(),
  );
  assert.equal(await run("dpkg --audit"), "");

  const warnings = (await run("journalctl -b -p warning -o cat --no-pager")).split("\n");
  assert.deepEqual(
    warnings.filter((line) => line.trim() && !expectedWarnings.some((expected) => expected.test(line))),
    [],
  );
  const journal = await run("journalctl -b -o cat --no-pager");
  assert.doesNotMatch(journal, /Unknown symbol|Failed to |: unknown (user|group)|assuming (root|default)/);
  assert.doesNotMatch(machine.console.text(), /^initrd:|FAILED/m);

  const words = Buffer.from(`\0binary ${hostName}\n`);
  await machine.agent.writeFile("/root/from-outside", words);
  assert.deepEqual(await machine.agent.readFile("/root/from-outside"), words);
}

/** That root gets a shell on the serial console without a password, types a command, and is told who he is. */
export async function assertConsoleLogin({ machine, prepared }: BootedSystem): Promise<void> {
  const { console } = machine;
  await console.waitFor(`${prepared.manifest.hostName} login:`, 40);
  console.type("root\n");
  await console.waitFor(/root@\S+.*# /, 20);
  console.type("id; echo still-$((40 + 2))\n");
  await console.waitFor(/uid=0\(root\) gid=0\(root\) groups=0\(root\)/, 10);
  await console.waitFor("still-42", 10);
}
