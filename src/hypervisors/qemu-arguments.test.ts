import assert from "node:assert/strict";
import { test } from "node:test";
import { type QemuMachine, qemuArguments } from "./qemu-arguments.ts";
import { type DiskSource, diskArguments } from "./qemu-disks.ts";
import { networkArguments } from "./qemu-networks.ts";

const sources: readonly DiskSource[] = [
  { kind: "raw", path: "/a,b:c" },
  { kind: "qcow2", path: "/q" },
  { kind: "nbd", socketPath: "/n,n" },
  { kind: "rbd", pool: "p", image: "i:conf=/x", user: "u", configuration: "/etc/other.conf" },
];

const values = (words: readonly string[], option: string) =>
  words.flatMap((word, index) => (words[index - 1] === option ? [word] : []));

test("disks of every kind: no character of a name has a meaning, and what an overlay lies on is only read", () => {
  for (const source of sources) {
    const [node] = values(diskArguments([{ slot: "scsi0", source, overlay: "/o,x" }]), "-blockdev");
    const { file, backing } = JSON.parse(node!);
    assert.deepEqual(file, { driver: "file", filename: "/o,x" });
    assert.deepEqual([backing["read-only"], backing.file["read-only"]], [true, true]);
    const [bare] = values(diskArguments([{ slot: "scsi0", source }]), "-blockdev");
    assert.equal(JSON.parse(bare!)["read-only"], false);
  }
  const rbd = JSON.parse(values(diskArguments([{ slot: "virtio0", source: sources[3]! }]), "-blockdev")[0]!);
  assert.deepEqual(rbd.file, {
    ...{ driver: "rbd", pool: "p", image: "i:conf=/x", user: "u", conf: "/etc/other.conf", "read-only": false },
  });
});

test("slots, serials, addresses and ports that QEMU does not have are refused", () => {
  const source = sources[0]!;
  const wrong = { code: "invalid-setting" };
  for (const slot of ["scsi31", "virtio16", "sata6", "ide0", "scsi01", "scsi0,x", ""]) {
    assert.throws(() => diskArguments([{ slot, source }]), wrong, slot);
  }
  for (const serial of ["", "a b", "x".repeat(37), "a,b", "é"]) {
    assert.throws(() => diskArguments([{ slot: "scsi0", source, serial }]), wrong, serial);
  }
  assert.throws(() => diskArguments([{ slot: "sata0", source, serial: "x".repeat(21) }]), wrong);
  assert.throws(
    () => diskArguments([sources[0]!, sources[1]!].map((each) => ({ slot: "scsi0", source: each }))),
    wrong,
  );
  for (const mac of ["", "52:54:00:12:34", "01:00:00:00:00:00", "52:54:00:12:34:56,x=y"]) {
    assert.throws(() => networkArguments([{ network: { kind: "user" }, mac }]), wrong, mac);
  }
  for (const forwards of [{ 0: 22 }, { 22: 65536 }, { 1.5: 2 }]) {
    assert.throws(() => networkArguments([{ network: { kind: "user", forwards } }]), wrong);
  }
});

test("a machine's name and paths cannot become options", () => {
  const machine: QemuMachine = {
    ...{ architecture: "amd64", accelerator: "tcg", name: "a,process=b", cores: 1, memoryMebibytes: 64 },
    ...{ disks: [], nics: [], socketRole: "listens", serialLog: "/log,x" },
    sockets: { serial: "/s,server=off", agent: "/a", qmp: "/q" },
    credentials: new Map([["key", "/c,string=x"]]),
  };
  const words = qemuArguments(machine);
  assert.deepEqual(values(words, "-name"), ["a,,process=b"]);
  assert.ok(values(words, "-chardev")[0]!.startsWith("socket,id=serial,path=/s,,server=off,server=on"));
  assert.ok(values(words, "-chardev")[0]!.includes("logfile=/log,,x"));
  assert.deepEqual(values(words, "-fw_cfg"), ["name=opt/io.systemd.credentials/key,file=/c,,string=x"]);
});
