import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { DiskRecipe } from "../image/extent.ts";
import { serveNbd } from "../image/output/nbd-server.ts";
import { writeQcow2 } from "../image/output/qcow2.ts";
import { writeRaw } from "../image/output/write-raw.ts";
import { type MachineDisk, startMachine } from "./start-machine.ts";
import { toySystem } from "./toy-system.testing.ts";

/** Every loader, every output, both root file systems, in three boots. */
const folder = mkdtempSync(join(tmpdir(), "meso-toy-"));
const files = { segmentDataPath: () => "" };
let toy: Awaited<ReturnType<typeof toySystem>>;

before(async () => {
  toy = await toySystem();
});
after(() => rmSync(folder, { recursive: true, force: true }));

test("ext4 by SeaBIOS and GRUB from a raw file", async () => {
  const path = join(folder, "toy.raw");
  writeRaw(toy.disk("ext4"), path, files);
  const said = await boot("bios", { kind: "raw", path, slot: "virtio0" });
  assert.match(said, /TOY-STARTED uefi=no pid=1/);
  assert.match(said, /TOY-ROOT ext4/);
  assert.match(said, /TOY-ARGUMENTS .* toy\.word=\$a;\{b\}\|c&d#e~/);
});

test("EROFS by OVMF and systemd-boot over NBD, written by nobody", async () => {
  const recipe: DiskRecipe = toy.disk("erofs");
  const server = await serveNbd(recipe, { socketPath: join(folder, "nbd"), files });
  try {
    const said = await boot("uefi", { kind: "nbd", socketPath: server.socketPath, size: recipe.size });
    assert.match(said, /TOY-STARTED uefi=yes pid=1/);
    assert.match(said, /TOY-ROOT overlay/);
    assert.match(said, /TOY-ARGUMENTS .* toy\.word=\$a;\{b\}\|c&d#e~/);
    assert.equal(server.problem(), undefined);
  } finally {
    await server.close();
  }
});

test("EROFS by SeaBIOS and GRUB from a qcow2 file", async () => {
  const path = join(folder, "toy.qcow2");
  writeQcow2(toy.disk("erofs"), path, files);
  assert.match(await boot("bios", { kind: "qcow2", path, slot: "sata3", serial: "root" }), /TOY-ROOT overlay/);
});

/** Starts it, talks to it, lets it power off; gives the console's text. */
async function boot(firmware: "bios" | "uefi", disk: MachineDisk): Promise<string> {
  const before = machineFolders();
  const cacheDirectory = join(folder, "cache");
  const machine = await startMachine({
    architecture: "amd64",
    disks: [disk],
    firmware,
    memoryMebibytes: 512,
    cacheDirectory,
  });
  try {
    await machine.console.waitFor("TOY-WROTE hello", 30);
    machine.console.type("are you there\n");
    await machine.console.waitFor("TOY-HEARD are you there", 5);
    machine.console.type("off\n");
    assert.equal((await machine.exited).exitCode, 0);
    assert.equal(await machine.stop(), "was-off");
  } finally {
    await machine.stop({ gracefulSeconds: 0 });
  }
  const left = machineFolders().filter((name) => !before.includes(name));
  assert.deepEqual(left, [], "nothing of the machine may stay behind");
  return machine.console.text();
}

const machineFolders = () => readdirSync(tmpdir()).filter((name) => name.startsWith("meso-vm-"));
