import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { isElf, readElf } from "./elf.ts";
import { MesoError } from "./error.ts";

/** Dynamically linked files that every Debian machine has, by different linkers' habits. */
const samples = ["/usr/bin/xz", "/bin/bash", "/usr/bin/dpkg-deb", "/lib/x86_64-linux-gnu/libc.so.6"].filter(existsSync);

test("agrees with readelf on needed libraries, soname and interpreter", (t) => {
  const readelf = ["/usr/bin/readelf"].find(existsSync);
  if (!readelf) return t.skip("binutils is not installed");
  assert.ok(samples.length > 0);
  for (const path of [...samples, process.execPath]) {
    const dynamic: string = execFileSync(readelf, ["-dW", path], { encoding: "utf8" });
    const named = (tag: string): string[] =>
      [...dynamic.matchAll(new RegExp(`\\(${tag}\\).*\\[(.*)\\]`, "g"))].map((m) => m[1]!);
    const headers: string = execFileSync(readelf, ["-lW", path], { encoding: "utf8" });
    const elf = readElf(readFileSync(path), path);
    assert.deepEqual(elf.needed, named("NEEDED"), path);
    assert.deepEqual(elf.soname, named("SONAME")[0], path);
    assert.deepEqual(
      [...elf.runpath],
      named("RUNPATH").flatMap((text) => text.split(":")),
      path,
    );
    assert.equal(elf.interpreter, /program interpreter: (.*)\]/.exec(headers)?.[1], path);
  }
});

test("agrees with the file that runs this test", () => {
  const elf = readElf(readFileSync("/proc/self/exe"), "node");
  assert.ok(elf.needed.some((name) => name.startsWith("libc.so")));
  assert.match(elf.interpreter ?? "", /ld-/);
});

test("a file cut anywhere or with changed bytes is read or refused, never anything else", () => {
  const whole = readFileSync(samples[0]!);
  const head = 4096;
  for (let length = 0; length < head; length += 7) attempt(whole.subarray(0, length));
  fc.assert(
    fc.property(fc.nat(head), fc.nat(255), (offset, value) => {
      const changed = Uint8Array.from(whole);
      changed[offset] = value;
      attempt(changed);
    }),
    { numRuns: 300 },
  );
});

test("hostile headers: endless tables and texts are refused", () => {
  const bytes = new Uint8Array(64);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  const view = new DataView(bytes.buffer);
  view.setUint16(56, 0xffff, true);
  view.setUint16(54, 56, true);
  assert.throws(() => readElf(bytes, "x"), /65535 program headers/);
  view.setUint16(56, 1, true);
  view.setBigUint64(32, 0xffff_ffff_ffff_ffffn, true);
  assert.throws(() => readElf(bytes, "x"), /beyond its end/);
  assert.equal(isElf(bytes), true);
  assert.throws(() => readElf(new Uint8Array(200), "x"), /not an ELF file/);
});

function attempt(bytes: Uint8Array): void {
  try {
    readElf(bytes, "sample");
  } catch (error) {
    assert.ok(error instanceof MesoError && error.code === "bad-elf", String(error));
  }
}
