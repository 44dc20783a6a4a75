import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { diskLayout } from "../image/disk.ts";
import { baseFileSystems, debian, fileSystem, label, operatingSystem } from "../index.ts";
import type { FileEntry } from "../store/file-tree.ts";
import { testSession } from "../test-support/test-session.ts";
import { realiseSystem } from "./compose.ts";
import { diskImage } from "./disk-image.ts";
import { hostArchitecture } from "./host-architecture.ts";
import { writeOutput } from "./output-file.ts";
import { prepareSystem } from "./prepare.ts";

const architecture = hostArchitecture() === "arm64" ? "amd64" : "arm64";
/** e_machine of elf.h, at offset 18. */
const machine = { amd64: 62, arm64: 183 }[architecture];

const foreign = operatingSystem({
  hostName: "foreign",
  architecture,
  fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" }), ...baseFileSystems],
  packages: [debian("systemd-sysv"), debian("udev"), debian(`linux-image-cloud-${architecture}`)],
  services: [],
});

test("a machine of another architecture is built here", { timeout: 600_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "meso-foreign-"));
  try {
    const session = testSession();
    const prepared = await prepareSystem(session, foreign);
    const system = await realiseSystem(session, prepared);
    const read = (path: string, tree = system.tree) => system.readFile(tree.get(path) as FileEntry);
    assert.equal(Buffer.from(read("/usr/lib/systemd/systemd")).readUInt16LE(18), machine);
    assert.equal(Buffer.from(read("/usr/bin/busybox", system.bootTree)).readUInt16LE(18), machine);
    // "ARM\x64", at offset 56: Documentation/arch/arm64/booting.rst of Linux.
    if (architecture === "arm64")
      assert.equal(Buffer.from(read(system.kernel.image)).toString("latin1", 56, 60), "ARMd");
    assert.match(system.kernel.modulesDep, /virtio_net/);
    assert.match(Buffer.from(read("/etc/ld.so.cache")).toString("latin1"), /\/libc\.so\.6\0/);
    assert.ok(system.tree.get("/usr/lib/udev/hwdb.bin"));
    const path = join(folder, "disk.img");
    await writeOutput(session, await diskImage(session, prepared), { path, format: "raw" });
    checkPartitions(path, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

function checkPartitions(disk: string, folder: string): void {
  const efi = join(folder, "efi.img");
  writeFileSync(efi, bytesAt(disk, diskLayout.efi.start, diskLayout.efi.length));
  execFileSync("fsck.fat", ["-n", efi]);
  const loader = architecture === "arm64" ? "BOOTAA64.EFI" : "BOOTX64.EFI";
  assert.match(
    execFileSync("mdir", ["-i", efi, "-/", "-b", "::/EFI"], { encoding: "utf8" }).toUpperCase(),
    new RegExp(loader),
  );
  execFileSync("e2fsck", ["-fn", `${disk}?offset=${diskLayout.root.start}`]);
}

function bytesAt(file: string, position: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const opened = openSync(file, "r");
  try {
    readSync(opened, bytes, 0, length, position);
  } finally {
    closeSync(opened);
  }
  return bytes;
}
