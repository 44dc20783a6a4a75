import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { type CpioEntry, writeCpio } from "./cpio.ts";

const scratch = mkdtempSync(join(tmpdir(), "cpio-test-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

const sample: CpioEntry[] = [
  { path: "/init", mode: 0o755, kind: "file", data: Buffer.from("#!/bin/sh\n") },
  { path: "/dev/console", mode: 0o600, kind: "character-device", device: { major: 5, minor: 1 } },
  { path: "/bin/sh", mode: 0o777, kind: "symlink", target: "busybox" },
  { path: "/bin/busybox", mode: 0o4755, kind: "file", data: Buffer.alloc(4097, "b") },
  { path: "/tmp", mode: 0o1777, kind: "directory" },
  { path: "/empty", mode: 0o644, kind: "file", data: Buffer.alloc(0) },
];

test("cpio lists what was written: types, modes, owners, times, order", () => {
  const archive = writeCpio(sample);
  assert.equal(archive.length % 512, 0);
  const listed = cpio(["-tv", "--numeric-uid-gid"], archive).trimEnd().split("\n");
  assert.deepEqual(
    listed.map((line) => line.replaceAll(/ +/g, " ")),
    [
      "drwxr-xr-x 2 0 0 0 Jan 1 1970 bin",
      "-rwsr-xr-x 1 0 0 4097 Jan 1 1970 bin/busybox",
      "lrwxrwxrwx 1 0 0 7 Jan 1 1970 bin/sh -> busybox",
      "drwxr-xr-x 2 0 0 0 Jan 1 1970 dev",
      "crw------- 1 0 0 5, 1 Jan 1 1970 dev/console",
      "-rw-r--r-- 1 0 0 0 Jan 1 1970 empty",
      "-rwxr-xr-x 1 0 0 10 Jan 1 1970 init",
      "drwxrwxrwt 2 0 0 0 Jan 1 1970 tmp",
    ],
  );
});

test("cpio unpacks random archives to what went in", () => {
  const name = fc
    .string({ unit: "grapheme", minLength: 1, maxLength: 9 })
    .filter((each) => !/^\.{1,2}$|[/\0]/.test(each));
  const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => `/${parts.join("/")}`);
  const drawn = fc.uniqueArray(fc.record({ path, size: fc.nat(50), isLink: fc.boolean() }), {
    maxLength: 20,
    selector: ({ path }) => path,
  });
  let run = 0;
  fc.assert(
    fc.property(drawn, (items) => {
      const above = new Set(items.flatMap(({ path }) => parents(path)));
      const entries = items.map(({ path, size, isLink }): CpioEntry => {
        if (above.has(path)) return { path, mode: 0o750, kind: "directory" };
        if (isLink) return { path, mode: 0o777, kind: "symlink", target: `target-${size}` };
        return { path, mode: 0o640, kind: "file", data: Buffer.alloc(size, path) };
      });
      const directory = mkdtempSync(join(scratch, `run-${run++}-`));
      cpio(["-id", "--quiet"], writeCpio(entries), directory);
      const found = readdirSync(directory, { recursive: true, encoding: "utf8" }).map((each) => `/${each}`);
      assert.deepEqual(found.sort(), [...new Set([...above, ...items.map(({ path }) => path)])].sort());
      for (const entry of entries) {
        const at = join(directory, entry.path);
        if (entry.kind === "symlink") assert.equal(readlinkSync(at), entry.target);
        else assert.equal(lstatSync(at).mode & 0o7777, entry.mode);
        if (entry.kind === "file") assert.ok(readFileSync(at).equals(entry.data));
      }
    }),
    { numRuns: 25 },
  );
});

test("the order of the entries means nothing", () => {
  assert.deepEqual(writeCpio(sample.toReversed()), writeCpio(sample));
});

test("paths that an archive must not hold are refused", () => {
  const fails = (...paths: string[]): void => {
    const entries = paths.map((path): CpioEntry => ({ path, mode: 0o644, kind: "file", data: Buffer.from("x") }));
    assert.throws(() => writeCpio(entries), { name: "MesoError", code: "bad-path" });
  };
  for (const path of ["relative", "", "/", "//a", "/a/", "/../etc/passwd", "/a/./b", "/a\0b"]) fails(path);
  fails("/a", "/a");
  fails("/a", "/a/b");
});

function parents(path: string): string[] {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, i) => parts.slice(0, i + 1).join("/")).slice(1);
}

function cpio(parameters: string[], archive: Uint8Array, directory = scratch): string {
  const env = { ...process.env, TZ: "UTC", LC_ALL: "C" };
  return execFileSync("cpio", parameters, { input: archive, cwd: directory, encoding: "utf8", stdio: "pipe", env });
}
