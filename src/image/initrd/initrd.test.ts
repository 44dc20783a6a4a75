import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { buildInitrd } from "./build-initrd.ts";
import { expandModules } from "./expand-modules.ts";
import { initScript } from "./init-script.ts";
import { modulesInOrder } from "./initrd-modules.ts";
import { rootArguments } from "./root-arguments.ts";

const index = {
  modulesDep:
    "kernel/a.ko.xz: kernel/b-c.ko kernel/d.ko.xz\nkernel/b-c.ko: kernel/d.ko.xz\nkernel/d.ko.xz:\nkernel/e.ko:\n",
  modulesBuiltin: "kernel/fs/ext4/ext4.ko\n",
};
const order = (required: string[], optional: string[] = [], dep = index.modulesDep) =>
  modulesInOrder({ ...index, modulesDep: dep }, { required, optional });

test("modules come after what they need, built-in ones not at all, unknown ones are an error", () => {
  assert.deepEqual(order(["a"]), ["kernel/d.ko.xz", "kernel/b-c.ko", "kernel/a.ko.xz"]);
  assert.deepEqual(order(["b_c", "ext4"], ["none", "e"]), ["kernel/d.ko.xz", "kernel/b-c.ko", "kernel/e.ko"]);
  assert.throws(() => order(["none"]), { code: "unknown-module" });
  for (const bad of ["x.ko: x.ko\n", "x.ko: y.ko\n", "no colon\n", "/abs.ko:\n", "../x.ko:\n"]) {
    assert.throws(() => order(["x"], [], bad), { code: "bad-modules-dep" }, bad);
  }
});

test("the archive holds decompressed modules in their order, the same bytes twice", async () => {
  const compressed = xz("module d");
  const options = {
    ...index,
    kernelVersion: "6.12",
    moduleNames: ["b-c"],
    readModule: (path: string) => (path.endsWith(".xz") ? compressed : Buffer.from(`plain ${path}`)),
    busybox: Buffer.from("busybox"),
  };
  const archive = Buffer.from(await buildInitrd(options));
  assert.ok(archive.equals(await buildInitrd(options)));
  const text = archive.toString("latin1");
  for (const part of ["module d", "plain kernel/b-c.ko", "/lib/modules/6.12/d.ko\n/lib/modules/6.12/b_c.ko\n"]) {
    assert.ok(text.includes(part), part);
  }
  const broken = { ...options, readModule: () => compressed.subarray(0, 20) };
  await assert.rejects(buildInitrd(broken), { code: "bad-module" });
});

test("modules of every compression are expanded, in their order; damaged ones are named", async () => {
  const modules = [
    { path: "a.ko.xz", bytes: xz("first") },
    { path: "b.ko.gz", bytes: gzipSync("second") },
    { path: "c.ko", bytes: Buffer.from("third") },
    { path: "d.ko.zst", bytes: zstdCompressSync(Buffer.from("fourth")) },
    { path: "e.ko.xz", bytes: xz("") },
    { path: "f.ko.xz", bytes: xz("sixth".repeat(100_000)) },
  ];
  const texts = (await expandModules(modules)).map((bytes) => Buffer.from(bytes).toString());
  assert.deepEqual(texts, ["first", "second", "third", "fourth", "", "sixth".repeat(100_000)]);
  const spoiled = modules[5]!.bytes.with(70, modules[5]!.bytes[70]! ^ 1);
  for (const wrong of [
    { path: "x.ko.xz", bytes: spoiled },
    { path: "x.ko.xz", bytes: Buffer.from("no xz") },
    { path: "x.ko.gz", bytes: gzipSync("cut short").subarray(0, 15) },
    { path: "x.ko.zst", bytes: Buffer.from("no zstd") },
    { path: "x.ko.lz4", bytes: Buffer.from("unknown") },
  ]) {
    await assert.rejects(expandModules([...modules, wrong]), { code: "bad-module", message: /x\.ko/ });
  }
});

function xz(text: string): Buffer {
  return execFileSync("xz", ["-c"], { input: text });
}

test("the script is one that a shell can read", () => {
  const { status, stderr } = spawnSync("sh", ["-n"], { input: initScript, encoding: "utf8" });
  assert.equal(status, 0, stderr);
  assert.ok(!initScript.includes("\\${"));
});

test("kernel arguments for the root", () => {
  const label = { kind: "label", label: "my-root" } as const;
  assert.equal(
    rootArguments({ device: label, type: "ext4" }).join(" "),
    "root=LABEL=my-root rootfstype=ext4 rw systemd.gpt_auto=0",
  );
  assert.equal(
    rootArguments({
      device: { kind: "uuid", uuid: "u" },
      type: "erofs",
      options: ["defaults", "user_xattr"],
      overlaySize: "1g",
    }).join(" "),
    "root=UUID=u rootfstype=erofs rootflags=user_xattr ro systemd.gpt_auto=0 meso.overlay=1g",
  );
});
