import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { diskImage } from "../build/disk-image.ts";
import { prepareSystem } from "../build/prepare.ts";
import { serveNbd } from "../image/output/nbd-server.ts";
import {
  baseFileSystems,
  baseServices,
  credentials,
  fileSystem,
  label,
  operatingSystem,
  pipe,
  secret,
  secretFile,
  secretFiles,
  simpleService,
  systemdUnits,
  unit,
} from "../index.ts";
import { sha256sum } from "../test-support/disk-bytes.ts";
import { testSession } from "../test-support/test-session.ts";
import { type MachineUnderTest, machineUnderTest } from "../testing/machine-under-test.ts";
import { poweredMachine } from "../testing/powered-machine.ts";
import { openssh, state, stateFolder, withStateVolume } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-state-vm-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const session = testSession();
const value = "the value 'of' \\the\\ secret";

/** Keeps a line for each of its boots, and reads a secret in both ways. */
function keeper(size: string) {
  const token = secret("token");
  const oneshot = (name: string, command: string) =>
    unit({
      name,
      sections: {
        Service: { Type: "oneshot", RemainAfterExit: true, ExecStart: `/bin/sh -c '${command}'` },
        Install: { WantedBy: "multi-user.target" },
      },
    });
  return pipe(
    operatingSystem({
      hostName: "keeper",
      fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" }), ...baseFileSystems],
      kernelArguments: ["console=tty0", "console=ttyS0,115200"],
      services: [
        ...baseServices,
        openssh(),
        simpleService("keeping", state, [stateFolder("/var/lib/keeper", { mode: 0o700, units: ["keeper.service"] })]),
        simpleService("units", systemdUnits, [
          oneshot("keeper.service", "echo boot >> /var/lib/keeper/boots"),
          oneshot("reader.service", "cat $CREDENTIALS_DIRECTORY/token > /run/read"),
        ]),
        simpleService("token", credentials, [{ secret: token, units: ["reader.service"] }]),
        simpleService("file", secretFiles, [
          secretFile({
            path: "/run/keeper/keeper.conf",
            content: "password = @TOKEN@\n",
            secrets: { TOKEN: token },
            user: "daemon",
            units: ["keeper.service"],
          }),
        ]),
      ],
    }),
    withStateVolume({ size }),
  );
}

/** Boots a system with a fresh root and the disk `state`, tells the story, cuts the power. */
async function boot(
  name: string,
  os: ReturnType<typeof keeper>,
  disk: string,
  story: (machine: MachineUnderTest, start: () => Promise<void>) => Promise<void>,
): Promise<string> {
  const prepared = await prepareSystem(session, os);
  const { recipe } = await diskImage(session, prepared);
  const server = await serveNbd(recipe, { socketPath: join(folder, `${name}.nbd`), files: session.store });
  const powered = poweredMachine(
    name,
    {
      ...{ name, architecture: "amd64", firmware: "bios", memoryMebibytes: 512 },
      disks: [
        { kind: "nbd", socketPath: server.socketPath, size: recipe.size },
        { kind: "raw", path: disk, serial: "state", keepWrites: true },
      ],
      credentials: new Map([["token", value]]),
      cacheDirectory: join(session.store.directory, "cache"),
    },
    "",
  );
  const { checks } = prepared.manifest;
  try {
    await story(machineUnderTest(name, powered, { checks, setCables: () => {} }), powered.start);
  } catch (error) {
    if (error instanceof Error) error.message += `\nconsole:\n${powered.consoleText().slice(-6000)}`;
    throw error;
  } finally {
    await powered.cut();
    await server.close();
  }
  return powered.consoleText();
}

function diskOf(name: string, mebibytes: number): string {
  const path = join(folder, name);
  closeSync(openSync(path, "w"));
  truncateSync(path, mebibytes << 20);
  return path;
}

/** As a power cut: QEMU has no time for anything. */
function killOutright(name: string): void {
  const [pid] = readdirSync("/proc").filter((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      const words = readFileSync(`/proc/${entry}/cmdline`, "utf8").split("\0");
      return words[words.indexOf("-name") + 1] === name && words[0]!.includes("qemu-system");
    } catch {
      return false;
    }
  });
  assert.ok(pid, `QEMU of ${name} runs`);
  process.kill(Number(pid), "SIGKILL");
}

const identity = async (machine: MachineUnderTest) => ({
  hostKey: await machine.succeeds("cat /var/lib/ssh/ssh_host_ed25519_key.pub"),
  machineId: await machine.succeeds("cat /etc/machine-id"),
});
const mebibytesOf = async (machine: MachineUnderTest) =>
  Number(await machine.succeeds("df --output=size --block-size=1M /var/lib/keeper | tail -n 1"));

test("what is kept survives a power cut while it is formatted, and a new root; secrets arrive, and stand nowhere", async () => {
  const disk = diskOf("kept", 512);
  const small = keeper("192MiB");
  const formatting = await boot("keeper-killed", small, disk, async (machine, start) => {
    await start();
    await machine.waitForConsole("meso: formatting the volume state", 120);
    killOutright("keeper-killed");
  });
  assert.doesNotMatch(formatting, /login:/);

  let before: Awaited<ReturnType<typeof identity>> | undefined;
  const first = await boot("keeper", small, disk, async (machine) => {
    await machine.start();
    await machine.passesChecks();
    assert.match(machine.console().text(), /meso: formatting the volume state/);
    before = await identity(machine);
    const size = await mebibytesOf(machine);
    assert.ok(size > 150 && size < 192, `${size} MiB`);
    assert.equal(await machine.succeeds("stat -c '%a %U' /var/lib/keeper"), "700 root");

    assert.equal(await machine.succeeds("cat /run/read"), value);
    assert.equal(await machine.succeeds("cat /run/keeper/keeper.conf"), `password = ${value}`);
    assert.equal(await machine.succeeds("stat -c '%a %U' /run/keeper/keeper.conf"), "600 daemon");
    const log = await machine.journal();
    assert.ok(log.includes("keeper.service") && !log.includes(value));
    await machine.powerOff();
  });
  assert.ok(!first.includes(value));

  const grown = await boot("keeper", keeper("320MiB"), disk, async (machine) => {
    await machine.start();
    await machine.passesChecks();
    assert.deepEqual(await identity(machine), before);
    assert.equal(await machine.succeeds("cat /var/lib/keeper/boots"), "boot\nboot");
    const size = await mebibytesOf(machine);
    assert.ok(size > 260 && size < 320, `${size} MiB`);
    assert.equal(await machine.succeeds("systemctl is-system-running"), "running");
  });
  assert.doesNotMatch(grown, /formatting the volume/);
});

test("a disk that holds something else is left alone, and only what needs it does not start", async () => {
  const disk = diskOf("foreign", 64);
  execFileSync("mke2fs", ["-q", "-t", "ext4", "-L", "payroll", disk]);
  const before = await sha256sum(disk);
  await boot("stranger", keeper("192MiB"), disk, async (machine, start) => {
    await start();
    await machine.waitForConsole(/meso: the disk state \(\S+\) holds ext4 and was not made by this system/, 120);
    await machine.agent().ping(120);
    await machine.waitUntilSucceeds("systemctl is-active multi-user.target", 60);
    await machine.succeeds("systemctl is-active reader.service systemd-journald.service");
    for (const name of ["keeper.service", "ssh.service", "var-lib-keeper.mount"]) {
      await machine.fails(`systemctl is-active ${name}`);
    }
    assert.match(await machine.journal("meso-state-state.service"), /was not made by this system: it is left alone/);
  });
  assert.equal(await sha256sum(disk), before);
});
