import assert from "node:assert/strict";
import { test } from "node:test";
import { type BootEntry, bootFiles } from "./boot-files.ts";
import { installGrub } from "./install-grub.ts";

const file = { size: 1, content: { kind: "bytes", bytes: Buffer.from("k") } } as const;
const entry = (changes: Partial<BootEntry> = {}): BootEntry => {
  return { id: "mini-1", title: "mini-1", kernel: file, initrd: file, arguments: ["root=LABEL=my-root"], ...changes };
};
const textOf = (files: ReturnType<typeof bootFiles>, path: string) => {
  const found = files.find((each) => each.path === path);
  assert.ok(found?.content.kind === "bytes", path);
  return Buffer.from(found.content.bytes).toString();
};

test("GRUB and systemd-boot show the same entries and share kernel and initrd", () => {
  const entries = [entry({ title: "it's $1" }), entry({ id: "old", arguments: ["a=$b"] })];
  const files = bootFiles({ architecture: "amd64", entries, timeout: 2, systemdBoot: file });
  assert.equal(files.filter(({ path }) => path.startsWith("/meso/")).length, 4);
  const grub = textOf(files, "/grub/grub.cfg");
  assert.match(grub, /menuentry 'it'\\''s \$1' --id mini-1 \{\n {2}linux \/meso\/mini-1\/vmlinuz root=LABEL=my-root\n/);
  assert.match(grub, /linux \/meso\/old\/vmlinuz 'a=\$b'\n {2}initrd \/meso\/old\/initrd.img\n/);
  assert.equal(
    textOf(files, "/loader/entries/old.conf"),
    "title mini-1\nlinux /meso/old/vmlinuz\ninitrd /meso/old/initrd.img\noptions a=$b\n",
  );
  assert.match(textOf(files, "/loader/loader.conf"), /default mini-1.conf\ntimeout 2\n/);
  assert.ok(files.some(({ path }) => path === "/EFI/BOOT/BOOTX64.EFI"));
  const arm = bootFiles({ architecture: "arm64", entries, timeout: 2, systemdBoot: file }).map(({ path }) => path);
  assert.ok(arm.includes("/EFI/BOOT/BOOTAA64.EFI") && !arm.includes("/grub/grub.cfg"));
});

test("what the two loaders would read differently is refused", () => {
  for (const bad of ["a b", "a'b", 'a"b', "a\\b", "a\nb", "", "é"]) {
    const wrong = [entry({ arguments: [bad] })];
    assert.throws(() => bootFiles({ architecture: "amd64", entries: wrong, timeout: 1 }), { code: "boot-entry" }, bad);
  }
  for (const id of ["../x", "", "a b", ".x"]) {
    assert.throws(() => bootFiles({ architecture: "amd64", entries: [entry({ id })], timeout: 1 }), {
      code: "boot-entry",
    });
  }
});

test("boot.img and core.img learn their places; what is not GRUB's is refused", () => {
  const boot = Buffer.alloc(512, 1);
  boot.set([0x55, 0xaa], 510);
  const core = Buffer.alloc(1300, 2);
  const place = { partitionStartSector: 2048, partitionBytes: 1 << 20 };
  const { bootCode, partition } = installGrub(boot, core, place);
  assert.equal(bootCode.length, 440);
  assert.equal(Buffer.from(bootCode).readBigUInt64LE(0x5c), 2048n);
  assert.equal(partition.length, 1536);
  assert.equal(Buffer.from(partition).readBigUInt64LE(500), 2049n);
  assert.equal(Buffer.from(partition).readUInt16LE(508), 2);
  assert.equal(Buffer.from(partition).readUInt16LE(510), 0x820);
  assert.equal(partition[1299], 2);
  assert.throws(() => installGrub(boot.subarray(1), core, place), { code: "bad-grub-image" });
  assert.throws(() => installGrub(Buffer.alloc(512), core, place), { code: "bad-grub-image" });
  assert.throws(() => installGrub(boot, core.subarray(0, 512), place), { code: "bad-grub-image" });
  assert.throws(() => installGrub(boot, Buffer.alloc((1 << 20) + 1), place), { code: "no-room" });
});
