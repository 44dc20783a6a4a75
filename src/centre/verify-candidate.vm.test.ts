import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { diskImage } from "../build/disk-image.ts";
import { writeOutput } from "../build/output-file.ts";
import { prepareSystem } from "../build/prepare.ts";
import { toySystem } from "../hypervisors/toy-system.testing.ts";
import { writeRaw } from "../image/output/write-raw.ts";
import {
  baseFileSystems,
  baseServices,
  checks,
  commandSucceeds,
  devicePath,
  fileSystem,
  inherit,
  label,
  type OperatingSystem,
  openssh,
  operatingSystem,
  simpleService,
  systemdUnits,
  unit,
  unitActive,
} from "../index.ts";
import { sha256sum } from "../test-support/disk-bytes.ts";
import { testSession } from "../test-support/test-session.ts";
import { type CandidateTrial, tryCandidate } from "./verify-candidate.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-verify-"));
const session = testSession();
const options = {
  ...{ cacheDirectory: join(session.store.directory, "cache"), by: "tester@here", now: () => 1_700_000_000 },
  logFolder: join(folder, "logs"),
};
const spec: CandidateTrial["spec"] = {
  ...{ id: { name: "web" }, architecture: "amd64", cores: 1, memoryMebibytes: 512, firmware: "bios" },
  nics: [{ mac: "52:54:00:aa:00:01" }],
};
const volumePath = join(folder, "state.raw");
/** What trials leave behind would be here, and nobody else's. */
const scratch = join(folder, "scratch");

before(() => {
  mkdirSync(scratch);
  process.env.TMPDIR = scratch;
  mkdirSync(join(folder, "contents"));
  writeFileSync(join(folder, "contents", "kept"), "of long ago\n");
  execFileSync("mke2fs", ["-q", "-t", "ext4", "-d", join(folder, "contents"), volumePath, "32M"]);
});
after(() => {
  try {
    assertNothingLeft();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

describe("a trial", { concurrency: 2 }, () => {
  test("a good candidate passes; neither it nor its volume is touched, and nobody is spoken to", async () => {
    let callers = 0;
    const peer = createServer((socket) => {
      callers++;
      socket.destroy();
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => peer.once("listening", resolve));
    const { port } = peer.address() as { port: number };
    // 10.0.2.2 is how a machine in QEMU's user network calls its host.
    const call = `! timeout 3 bash -c 'exec 3<>/dev/tcp/10.0.2.2/${port}'`;
    const os = inherit(web(), (self) => ({
      services: [...self.services, simpleService("alone", checks, [commandSucceeds("sh", "-c", call)])],
    }));
    try {
      const root = await written(os, "good.raw");
      const state = await sha256sum(volumePath);
      const { mtimeMs } = statSync(root.disk.path);
      const outcome = await tryCandidate({ ...(await trial(os)), root }, options);
      assert.deepEqual(outcome.verdict.failed, []);
      assert.deepEqual(
        { ...outcome.verdict, checks: outcome.results.length },
        { ...{ passed: true, at: 1_700_000_000, by: "tester@here", failed: [] }, checks: outcome.verdict.checks },
      );
      const named = outcome.results.map(({ name }) => name);
      assert.ok(named.includes("tcp port 22 answers") && named.includes("grep ago /state/kept succeeds"), named.join());
      assert.equal(callers, 0);
      assert.equal(await sha256sum(volumePath), state);
      assert.equal(statSync(root.disk.path).mtimeMs, mtimeMs);
      assert.equal(outcome.logs, undefined);
    } finally {
      peer.close();
    }
  });

  test("a candidate with a unit that fails is rejected early, in words, with its logs", async () => {
    const failing = unit({
      name: "doomed.service",
      text: "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo no licence found >&2; exit 3'\n\n[Install]\nWantedBy=multi-user.target\n",
    });
    const os = inherit(web(), (self) => ({
      services: [
        ...self.services,
        simpleService("doomed", systemdUnits, [failing]),
        simpleService("hope", checks, [unitActive("doomed.service")]),
      ],
    }));
    const root = await written(os, "broken.raw");
    const { verdict, logs, seconds } = await tryCandidate({ ...(await trial(os)), root, bootSeconds: 600 }, options);
    assert.equal(verdict.passed, false);
    assert.equal(verdict.failed.length, 2, verdict.failed.join("\n"));
    assert.match(verdict.failed[0]!, /failed units: doomed\.service; it said: no licence found/);
    assert.match(verdict.failed[1]!, /doomed\.service is active: it is failed \(exit-code\)/);
    assert.ok(seconds < 300, "what is hopeless is not waited for");
    assert.deepEqual(readdirSync(logs!).sort(), [
      "failed.txt",
      "machine.console.txt",
      "machine.journal.txt",
      "machine.png",
    ]);
    assert.match(readFileSync(join(logs!, "machine.journal.txt"), "utf8"), /no licence found/);
    assert.match(readFileSync(join(logs!, "machine.console.txt"), "utf8"), /doomed\.service/);
    assert.equal(readFileSync(join(logs!, "machine.png")).toString("latin1", 1, 4), "PNG");
  });

  test("a candidate that does not start, one without an agent, and a trial that is given up", async () => {
    const toy = await toySystem();
    const disk = (name: string, recipe: ReturnType<typeof toy.disk>) => {
      const path = join(folder, name);
      writeRaw(recipe, path, { segmentDataPath: () => "" });
      return { slot: "virtio0", disk: { kind: "file", path, format: "raw" } as const };
    };
    const check = { kind: "unit-active", name: "x is active", service: "x", unit: "x.service" } as const;
    const common = { spec, volumes: [], checks: [check], bootSeconds: 600 };
    const lost = disk("lost", toy.disk("ext4", { kernelArguments: ["init=/nowhere"] }));
    const started = performance.now();
    const { verdict } = await tryCandidate({ ...common, root: lost }, options);
    assert.ok(performance.now() - started < 120_000);
    assert.match(verdict.failed.join(), /it did not start: initrd: FAILED: \/nowhere is not on the root file system/);

    const mute = disk("mute", toy.disk("ext4", { withAgent: false }));
    const silent = await tryCandidate({ ...common, root: mute, bootSeconds: 1.5 }, options);
    assert.match(silent.verdict.failed.join(), /the guest agent did not answer .*the console's end: \S/);
    assert.equal(silent.verdict.checks, 2);

    const controller = new AbortController();
    const given = tryCandidate({ ...common, root: mute }, { ...options, signal: controller.signal });
    await sleep(1000);
    controller.abort(new Error("enough"));
    await assert.rejects(given, /enough/);
    const none = { slot: "scsi0", disk: { kind: "file", path: join(folder, "none"), format: "raw" } as const };
    await assert.rejects(tryCandidate({ ...common, root: none }, options), { code: "no-disk" });
  });
});

/** A server with a state volume, which it finds by the serial. */
function web(): OperatingSystem {
  const state = devicePath("/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_state");
  return operatingSystem({
    hostName: "web",
    fileSystems: [
      fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" }),
      fileSystem({ device: state, mountPoint: "/state", type: "ext4" }),
      ...baseFileSystems,
    ],
    kernelArguments: ["console=tty0", "console=ttyS0,115200"],
    services: [
      ...baseServices,
      openssh(),
      simpleService("state", checks, [
        commandSucceeds("grep", "ago", "/state/kept"),
        commandSucceeds("touch", "/state/of-the-trial"),
      ]),
    ],
  });
}

async function written(os: OperatingSystem, name: string) {
  const image = await diskImage(session, await prepareSystem(session, os));
  const path = join(folder, name);
  await writeOutput(session, image, { path, format: "raw" });
  return { slot: "scsi0", disk: { kind: "file", path, format: "raw" } as const };
}

async function trial(os: OperatingSystem): Promise<Omit<CandidateTrial, "root">> {
  const { manifest } = await prepareSystem(session, os);
  const disk = { kind: "file", path: volumePath, format: "raw" } as const;
  return { spec, volumes: [{ slot: "scsi1", serial: "state", disk }], checks: manifest.checks, bootSeconds: 120 };
}

/** Other tests may boot machines of theirs meanwhile; ours have their disks in the scratch folder. */
function assertNothingLeft(): void {
  const running = readdirSync("/proc").filter((pid) => {
    const file = `/proc/${pid}/cmdline`;
    return /^\d+$/.test(pid) && existsSync(file) && commandLine(file).includes(scratch);
  });
  assert.deepEqual(running, []);
  assert.deepEqual(readdirSync(scratch), []);
}

function commandLine(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
