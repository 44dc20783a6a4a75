import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import {
  administrators,
  baseFileSystems,
  baseServices,
  dhcpNetworking,
  fileSystem,
  label,
  modifyServices,
  type OperatingSystem,
  openssh,
  operatingSystem,
  remove,
  staticNetworking,
} from "../index.ts";
import { newSshKey } from "../test-support/ssh-key.ts";
import { testSession } from "../test-support/test-session.ts";
import { type MachineUnderTest, withMachines } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-stories-"));
const scratch = join(folder, "scratch");
const evidence = join(folder, "evidence");
const session = testSession();
// By its serial: which disk the kernel calls sda and which sdb changes from one start to the next.
const stateDisk = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_state";
const places = { lock: session.lockFile, store: session.store.directory, evidence };
let key: ReturnType<typeof newSshKey>;

before(() => {
  mkdirSync(scratch);
  process.env.TMPDIR = scratch;
  key = newSshKey(folder);
});
// What one failed story leaves is not what the next one is judged by.
afterEach(() => rmSync(evidence, { recursive: true, force: true }));
after(() => rmSync(folder, { recursive: true, force: true }));

test("two machines on a wire reach each other; one is cut off, killed, and comes back", async () => {
  const gate = { os: server("gate", "10.77.0.2/24"), ssh: true, volumes: { state: "64MiB" } };
  await withMachines(
    { gate, desk: server("desk") },
    async ({ gate, desk }) => {
      await Promise.all([gate.passesChecks(), desk.passesChecks()]);
      assert.equal(await gate.address(), "10.77.0.2");
      // The second card on the wire: it has no address of its own, and asks for one.
      assert.equal(await desk.address(), "10.77.0.11");

      await desk.succeeds("ping -c 1 -W 10 10.77.0.2");
      await gate.succeeds("ping -c 1 -W 10 10.77.0.11");
      await desk.writeFile("/root/key", readFileSync(key.file));
      const ssh = "ssh -i /root/key -o StrictHostKeyChecking=no -o LogLevel=ERROR";
      assert.equal(await desk.succeeds(`chmod 600 /root/key && ${ssh} root@10.77.0.2 hostname`), "gate");
      assert.equal(await gate.ssh("hostname", { key: key.file }), "gate", "from this host");
      await assert.rejects(desk.ssh("hostname"), /describe it with ssh: true/);

      await gate.succeeds(`mke2fs -q ${stateDisk} && mount ${stateDisk} /mnt`);
      await gate.succeeds("echo kept > /mnt/note && umount /mnt && sync");
      gate.setCables(false);
      assert.match(await desk.fails("ping -c 1 -W 2 10.77.0.2"), /100% packet loss/);
      gate.setCables(true);
      await desk.waitUntilSucceeds("ping -c 1 -W 2 10.77.0.2");

      await desk.succeeds("touch /run/sooner");
      const point = await desk.snapshot();
      const looking = assert.rejects(gate.waitForPort(9, 600), /gate: it ended while it was looked at/);
      await gate.kill();
      await looking;
      await desk.waitUntilFails("ping -c 1 -W 2 10.77.0.2");
      await assert.rejects(gate.run("true"), /gate is off/);
      await Promise.all([gate.start(), desk.restart()]);
      assert.equal(await gate.succeeds(`mount ${stateDisk} /mnt && cat /mnt/note`), "kept");
      await desk.fails("test -e /run/sooner");
      await point.restore();
      await desk.succeeds("test -e /run/sooner");
      await desk.waitUntilSucceeds("ping -c 1 -W 2 10.77.0.2");
    },
    places,
  );
  assert.equal(existsSync(evidence), false, "a story that ends well leaves nothing");
  assertNothingLeft();
});

test("a story that fails says what it saw, and leaves console, journal and screenshot", async () => {
  const story = async (desk: MachineUnderTest) => {
    await desk.waitForConsole("desk login:");
    await assert.rejects(desk.waitForUnit("nothing.service"), /nothing\.service is active: systemd says not-found/);
    await assert.rejects(desk.waitForPort(81, 0.5), /nobody listens on tcp port 81/);
    await desk.succeeds("echo here >&2; exit 7");
  };
  const options = { ...places, starts: "none" } as const;
  const failed = withMachines(
    { desk: server("desk") },
    async ({ desk }) => {
      await assert.rejects(desk.run("true"), { code: "machine-off" });
      await desk.start();
      await story(desk);
    },
    options,
  );
  await assert.rejects(failed, (error: Error) => {
    assert.match(error.message, /desk: `echo here >&2; exit 7` ended with 7:\nhere/);
    assert.ok(error.message.endsWith(evidence), error.message);
    return true;
  });
  assert.deepEqual(readdirSync(evidence).sort(), ["desk.console.txt", "desk.journal.txt", "desk.png"]);
  assert.match(readFileSync(join(evidence, "desk.console.txt"), "utf8"), /desk login:/);
  assert.match(readFileSync(join(evidence, "desk.journal.txt"), "utf8"), /ssh\.service|sshd/);
  assert.equal(readFileSync(join(evidence, "desk.png")).toString("latin1", 1, 4), "PNG");
  assertNothingLeft();
});

test("what is no machine is refused before anything is built", async () => {
  const wrong = { web: { os: {} } } as unknown as { web: { os: OperatingSystem } };
  await assert.rejects(
    withMachines(wrong, async () => {}, places),
    { code: "not-a-machine" },
  );
});

function server(hostName: string, address?: string): OperatingSystem {
  const fixed = address === undefined ? [] : [staticNetworking({ eth0: { addresses: [address] } })];
  return operatingSystem({
    hostName,
    fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" }), ...baseFileSystems],
    kernelArguments: ["console=tty0", "console=ttyS0,115200"],
    services: [
      ...(address === undefined ? baseServices : modifyServices(baseServices, remove(dhcpNetworking))),
      ...fixed,
      openssh(),
      administrators({ rootKeys: [key.line], people: [] }),
    ],
  });
}

function assertNothingLeft(): void {
  assert.deepEqual(readdirSync(scratch), []);
}
