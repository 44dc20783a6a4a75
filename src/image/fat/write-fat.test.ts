import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { changedBlocks, type SegmentData, writeRecipeFile } from "../../test-support/recipe-file.ts";
import { type FatFile, writeFat } from "./write-fat.ts";

const scratch = mkdtempSync(join(tmpdir(), "fat-test-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

const mebibyte = 2 ** 20;
const options = { size: 512 * mebibyte, label: "MESO ESP", volumeId: 0x1234abcd, hiddenSectors: 2048 };

test("fsck.fat and mtools read back an EFI partition", () => {
  const segments = new Map([["kernel", kernel()]]);
  const files = sampleFiles();
  const image = judged("sample", files, segments);
  const { stdout } = run("mdir", ["-i", image, "::/EFI/BOOT"]);
  assert.match(stdout, /Volume in drive : is MESO ESP/);
  assert.match(stdout, /Volume Serial Number is 1234-ABCD/);
  assert.match(stdout, /1980-01-01 +0:00/);
});

test("contents in a segment are pointed to, on a 4 KiB boundary", () => {
  const pointed = writeFat(sampleFiles(), options).extents.filter(({ source }) => source.kind === "segment");
  assert.equal(pointed.length, 1);
  assert.equal(pointed[0]!.start % 4096, 0);
  assert.deepEqual(pointed[0]!.source, { kind: "segment", segment: "kernel", offset: 8192 });
  assert.equal(pointed[0]!.length, 12288);
});

test("random names survive fsck.fat and mtools", () => {
  let run = 0;
  // mtools prints through the locale: names stay within what every locale writes.
  const letters = fc.constantFrom(..."abcXYZ019 ._-~+,;=[]()&%$#@!'");
  const part = fc.string({ unit: letters, minLength: 1, maxLength: 40 }).filter((name) => !/[. ]$|^ /.test(name));
  const path = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => `/${parts.join("/")}`);
  const files = fc.uniqueArray(fc.record({ path, size: fc.nat(10_000) }), {
    maxLength: 30,
    selector: ({ path }) => path.toLowerCase(),
  });
  fc.assert(
    fc.property(files, (drawn) => {
      judged(`random-${run++}`, withoutClashes(drawn.map(({ path, size }) => text(path, "x".repeat(size)))));
    }),
    { numRuns: 25 },
  );
});

test("long names are Unicode", () => {
  const name = "Grüße-λ-語.conf";
  const image = join(scratch, "unicode.img");
  writeRecipeFile(image, writeFat([text(`/${name}`, "hello")], options));
  assert.equal(run("fsck.fat", ["-n", image]).status, 0);
  const { stdout } = run("mdir", ["-b", "-i", image, "::/"], { LC_ALL: "C.UTF-8" });
  assert.equal(stdout.trim(), `::/${name}`);
});

test("the order of the files means nothing", () => {
  assert.deepEqual(writeFat(sampleFiles().reverse(), options), writeFat(sampleFiles(), options));
});

test("changing one file moves no other", () => {
  const files = sampleFiles().filter(({ content }) => content.kind === "bytes");
  const before = writeFat(files, options);
  const grown = files.map((file) => (file.path.endsWith("meso.conf") ? text(file.path, "y".repeat(5000)) : file));
  const changed = changedBlocks(before, writeFat(grown, options));
  // Boot area (free clusters), the directory, two tables (old and new place), contents (old and new place).
  assert.ok(changed.length > 0 && changed.length <= 9, `${changed.length} blocks changed`);
});

test("what FAT cannot hold is said plainly", () => {
  const fails = (code: string, files: FatFile[], more: Partial<typeof options> = {}) =>
    assert.throws(() => writeFat(files, { ...options, ...more }), { name: "MesoError", code });
  fails("bad-path", [text("relative", "x")]);
  fails("bad-path", [text("/a/../b", "x")]);
  fails("bad-path", [text("/a//b", "x")]);
  fails("bad-path", [text("/a", "x"), text("/a/b", "x")]);
  fails("bad-path", [text("/a", "x"), text("/a", "y")]);
  for (const name of ["a:b", "tab\t", "dot.", "space ", "é".repeat(256), "\ud800"])
    fails("bad-name", [text(`/${name}`, "x")]);
  fails("duplicate-name", [text("/Loader", "x"), text("/loader", "y")]);
  fails("duplicate-name", [text("/efi/a", "x"), text("/EFI/b", "y")]);
  fails("bad-label", [], { label: "lower case" });
  fails("bad-label", [], { label: "TWELVE CHARS" });
  fails("bad-label", [], { label: "" });
  for (const size of [0, 64 * mebibyte, 512 * mebibyte + 1, 2 ** 43, Number.NaN]) fails("bad-fat-size", [], { size });
  const segment = { kind: "segment", segment: "s", offset: 0 } as const;
  fails("too-large", [{ path: "/huge", size: 2 ** 32, content: segment }]);
  fails("no-room", [{ path: "/big", size: 600 * mebibyte, content: segment }]);
});

function text(path: string, content: string): FatFile {
  const bytes = Buffer.from(content);
  return { path, size: bytes.length, content: { kind: "bytes", bytes } };
}

function kernel(): Buffer {
  return Buffer.concat([Buffer.alloc(8192, "before"), Buffer.alloc(10_000, "kernel"), Buffer.alloc(2288)]);
}

function sampleFiles(): FatFile[] {
  return [
    text("/EFI/BOOT/BOOTX64.EFI", "loader".repeat(20_000)),
    text("/EFI/systemd/systemd-bootx64.efi", "loader".repeat(20_000)),
    text("/loader/loader.conf", "timeout 3\n"),
    text("/loader/entries/meso.conf", "title Mesoforge\n"),
    text("/loader/entries.srel", "type1\n"),
    text("/EMPTY.TXT", ""),
    text("/lower.txt", "flags"),
    text("/UPPER.low", "flags"),
    text("/a name of more than one piece, with spaces.text", "long"),
    { path: "/linux", size: 10_000, content: { kind: "segment", segment: "kernel", offset: 8192 } },
    // Enough for digests in short names to collide.
    ...Array.from({ length: 1500 }, (_, i) => text(`/many/file number ${i}`, `${i}`)),
  ];
}

/** Leaves out files whose path runs through another, or differs from another in case at any level. */
function withoutClashes(files: readonly FatFile[]): FatFile[] {
  const spellings = new Map<string, string>();
  const filePaths = new Set(files.map(({ path }) => path.toLowerCase()));
  return files.filter(({ path }) => {
    const prefixes = path.split("/").map((_, i, parts) => parts.slice(0, i + 1).join("/"));
    const clashes = prefixes.slice(1).some((prefix, i, all) => {
      const folded = prefix.toLowerCase();
      return (spellings.get(folded) ?? prefix) !== prefix || (i < all.length - 1 && filePaths.has(folded));
    });
    if (!clashes) for (const prefix of prefixes) spellings.set(prefix.toLowerCase(), prefix);
    return !clashes;
  });
}

/** Writes the image, has fsck.fat check it and mcopy unpack it, and compares every file. */
function judged(name: string, files: readonly FatFile[], segments: SegmentData = new Map()): string {
  const image = join(scratch, `${name}.img`);
  writeRecipeFile(image, writeFat(files, options), segments);
  const check = run("fsck.fat", ["-n", image]);
  assert.equal(check.status, 0, check.stdout);
  const directory = join(scratch, name);
  mkdirSync(directory);
  if (files.length > 0) run("mcopy", ["-s", "-n", "-i", image, "::/*", directory]);
  const found = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((item) => item.isFile());
  assert.deepEqual(
    found.map((item) => join(item.parentPath, item.name).slice(directory.length)).sort(),
    files.map(({ path }) => path).sort(),
  );
  for (const { path, content, size } of files) {
    const expected =
      content.kind === "bytes"
        ? content.bytes
        : segments.get(content.segment)!.subarray(content.offset, content.offset + size);
    assert.ok(readFileSync(join(directory, path)).equals(expected), path);
  }
  return image;
}

function run(command: string, parameters: string[], environment = {}): { status: number; stdout: string } {
  try {
    const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin`, ...environment };
    return { status: 0, stdout: execFileSync(command, parameters, { encoding: "utf8", stdio: "pipe", env }) };
  } catch (error) {
    const { status, stdout, stderr } = error as { status: number; stdout: string; stderr: string };
    return { status, stdout: `${stdout}${stderr}` };
  }
}
