import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { MesoError } from "../base/error.ts";
import { sha256 } from "../base/hash.ts";
import { openStore } from "../store/store.ts";
import { ar, control, deb, debOf, pax, type TarPiece, tar, xz } from "./deb.testing.ts";
import { importDebian } from "./import.ts";
import { importAll } from "./import-all.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-hostile-"));
after(() => rmSync(folder, { recursive: true }));
const store = openStore(join(folder, "store"));

function stored(bytes: Uint8Array, digest = sha256(bytes)) {
  const file = store.archivePath(digest);
  writeFileSync(file, bytes);
  return { file, sha256: digest, size: bytes.length, name: "sample_1_all.deb" };
}

/** Asserts that the archive is refused with this code, a message that names it, and nothing left behind. */
async function refuses(bytes: Uint8Array, code: string, message: RegExp): Promise<void> {
  const archive = stored(bytes);
  await assert.rejects(importDebian(store, archive.file, archive), (error) => {
    assert.ok(error instanceof MesoError, String((error as Error).stack));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, /sample_1_all\.deb/);
    assert.match(error.message, message);
    return true;
  });
  for (const place of ["segments", "tmp", "locks"]) assert.deepEqual(readdirSync(join(store.directory, place)), []);
}

const file = (name: string, content = "x"): TarPiece => ({ name, content });
const directory = (name: string): TarPiece => ({ name, type: "5", mode: 0o755 });
const symlink = (name: string, link: string): TarPiece => ({ name, type: "2", link });
const hardlink = (name: string, link: string): TarPiece => ({ name, type: "1", link });

test("paths that climb out, contradict each other or cannot exist are refused", async () => {
  const cases: readonly [string, readonly TarPiece[], RegExp][] = [
    ["up", [file("./../etc/passwd")], /climbs out/],
    ["inner up", [file("./usr/../../etc/passwd")], /climbs out/],
    ["absolute", [file("/etc/passwd")], /absolute/],
    ["below a link", [symlink("./a", "/etc"), file("./a/passwd")], /below "\/a", which is a symlink/],
    ["link after its child", [file("./a/b/passwd"), symlink("./a", "/etc")], /below "\/a"/],
    ["below a file", [file("./a"), file("./a/b")], /below "\/a", which is a file/],
    ["twice", [file("./a"), file("a")], /twice/],
    ["twice, two kinds", [directory("./a/"), symlink("./a", "/etc")], /twice/],
    ["twice, spelt otherwise", [file("./a/b"), file(".//a/./b")], /twice/],
    ["root as a file", [symlink("./", "/etc")], /root is a symlink/],
    ["empty name", [file("")], /is empty/],
    ["NUL", [pax({ path: "./a\0b" }), file("./a")], /NUL/],
    ["line break", [file("./a\nb")], /line break/],
    ["long name", [pax({ path: `./${"n".repeat(256)}` }), file("./a")], /longer than 255/],
    ["long path", [pax({ path: `./${"n/".repeat(3000)}x` }), file("./a")], /longer than 4095/],
    ["link to nothing", [hardlink("./a", "./b")], /not before it/],
    ["link to what follows", [hardlink("./a", "./b"), file("./b")], /not before it/],
    ["link outside", [hardlink("./a", "../../etc/shadow")], /climbs out/],
    ["link to absolute", [hardlink("./a", "/etc/shadow")], /absolute/],
    ["link to a directory", [directory("./d"), hardlink("./a", "./d")], /which is a directory/],
    ["empty link", [symlink("./a", "")], /empty/],
    ["character device", [{ name: "./null", type: "3" }], /character device/],
    ["block device", [{ name: "./sda", type: "4" }], /block device/],
    ["pipe", [{ name: "./pipe", type: "6" }], /pipe/],
    ["sparse", [{ name: "./s", type: "S" }], /sparse/],
    ["unknown type", [{ name: "./s", type: "Z" }], /tar type "Z"/],
    ["PAX sparse", [pax({ "GNU.sparse.size": "9" }), file("./a")], /GNU\.sparse\.size/],
  ];
  for (const [name, pieces, message] of cases) {
    await test(name, () => refuses(deb(pieces), "unsafe-archive", message));
  }
});

test("malformed tars are refused", async () => {
  const whole = tar([file("./a", "abc"), file("./b", "def")]);
  const cases: readonly [string, Uint8Array, RegExp][] = [
    ["empty", new Uint8Array(0), /before its end mark/],
    ["no end mark", whole.subarray(0, 2048), /before its end mark/],
    ["cut in a header", whole.subarray(0, 1300), /before its end mark/],
    ["cut in a content", tar([{ name: "./a", size: 10_000 }]), /cut short/],
    ["absurd size", tar([{ name: "./a", size: 8 ** 11 - 1 }]), /cut short/],
    ["absurd PAX size", tar([pax({ size: "999999999999999" }), file("./a")]), /cut short/],
    ["negative PAX size", tar([pax({ size: "-1" }), file("./a")]), /PAX record size/],
    ["checksum", tar([{ ...file("./a"), brokenChecksum: true }]), /checksum/],
    ["no UTF-8", tar([{ name: "L", type: "L", content: Buffer.from("./\xff\0", "latin1") }, file("./a")]), /not UTF-8/],
    ["PAX length", tar([{ name: "x", type: "x", content: "99 path=a\n" }, file("./a")]), /malformed PAX/],
    ["PAX without value", tar([{ name: "x", type: "x", content: "5 a\n\n" }, file("./a")]), /malformed PAX/],
    ["PAX zero length", tar([{ name: "x", type: "x", content: "0 a=b\n" }, file("./a")]), /malformed PAX/],
    ["large extension", tar([{ name: "L", type: "L", content: "a".repeat(300_000) }, file("./a")]), /extended header/],
    ["hidden tail", Buffer.concat([whole, tar([file("./c")])]), /follows its end mark/],
    ["directory with content", tar([{ name: "./d", type: "5", content: "x" }]), /has a content/],
  ];
  for (const [name, bytes, message] of cases) {
    await test(name, () => refuses(debOf(bytes), "corrupt-archive", message));
  }
});

test("malformed archives are refused", async () => {
  const good = deb([file("./a")]);
  const cases: readonly [string, Uint8Array, RegExp][] = [
    ["empty", new Uint8Array(0), /not an ar/],
    ["other file", Buffer.from("#!/bin/sh\necho hello\n"), /not an ar/],
    ["only the magic", good.subarray(0, 8), /debian-binary/],
    ["cut in a header", good.subarray(0, 30), /inside a member's header/],
    ["cut in data", good.subarray(0, good.length - 20), /beyond the archive's end/],
    [
      "no data",
      ar([
        ["debian-binary", "2.0\n"],
        ["control.tar", tar([])],
      ]),
      /nothing where data\.tar/,
    ],
    [
      "other order",
      ar([
        ["debian-binary", "2.0\n"],
        ["data.tar", tar([])],
        ["control.tar", tar([])],
      ]),
      /data\.tar where control/,
    ],
    [
      "other format",
      ar([
        ["debian-binary", "3.0\n"],
        ["control.tar", ""],
        ["data.tar", ""],
      ]),
      /format version/,
    ],
    [
      "unknown compression",
      ar([
        ["debian-binary", "2.0\n"],
        ["control.tar.br", ""],
        ["data.tar", ""],
      ]),
      /control\.tar\.br/,
    ],
    ["many members", ar(Array.from({ length: 40 }, () => ["_x", ""] as const)), /more than 16/],
    [
      "negative size",
      Buffer.from(good.toString("latin1").replace("4         `", "-4        `"), "latin1"),
      /has the size/,
    ],
    ["no control file", debOf(tar([]), tar([])), /no file control/],
    ["no version", deb([], "Package: a\nArchitecture: all\n"), /no field Version/],
    ["two paragraphs", deb([], `${control}\n${control}`), /not one paragraph/],
    ["odd Installed-Size", deb([], `${control}Installed-Size: 1e9\n`), /Installed-Size is "1e9"/],
  ];
  for (const [name, bytes, message] of cases) await test(name, () => refuses(bytes, "corrupt-archive", message));
  await test("control folder", () =>
    refuses(debOf(tar([]), tar([file("./../control", control)])), "unsafe-archive", /control archive holds/));
  await test("control twice", () =>
    refuses(debOf(tar([]), tar([file("./control", control), file("control", control)])), "unsafe-archive", /twice/));
  await test("control device", () =>
    refuses(debOf(tar([]), tar([{ name: "./control", type: "3" }])), "unsafe-archive", /character device/));
});

test("damaged compression is told, for every kind", async () => {
  const plain = tar([file("./a", "abc".repeat(5000))]);
  const members = (extension: string, data: Uint8Array) =>
    ar([
      ["debian-binary", "2.0\n"],
      ["control.tar.xz", xz(tar([file("./control", control)]))],
      [`data.tar.${extension}`, data],
    ]);
  const gz = gzipSync(plain);
  const packed = xz(plain);
  const flipped = Buffer.from(packed);
  flipped[40]! ^= 255;
  const shortIndex = Buffer.from(packed);
  shortIndex[shortIndex.length - 14]! ^= 1;
  const cases: readonly [string, Uint8Array][] = [
    ["gz", gz.subarray(0, gz.length >> 1)],
    ["gz", Buffer.from("no gzip at all")],
    ["gz", new Uint8Array(0)],
    ["xz", packed.subarray(0, packed.length >> 1)],
    ["xz", packed.subarray(0, packed.length - 12)],
    ["xz", flipped],
    ["xz", shortIndex],
    ["xz", Buffer.concat([packed, packed])],
    ["xz", Buffer.concat([packed, Buffer.alloc(64, "x")])],
    ["xz", new Uint8Array(0)],
    ["zst", Buffer.from("28b52ffd2000", "hex")],
    ["zst", Buffer.from("no zstd")],
    ["bz2", Buffer.from("BZh9 no")],
    ["lzma", Buffer.from("no lzma, but long enough to look at")],
  ];
  for (const [extension, data] of cases) {
    await test(`${extension} of ${data.length} bytes`, () => refuses(members(extension, data), "corrupt-archive", /./));
  }
});

test("bombs are stopped", async () => {
  const zeros = Buffer.alloc(300 * 1024 * 1024);
  const archive = (controlTar: Uint8Array, data: Uint8Array) =>
    ar([
      ["debian-binary", "2.0\n"],
      ["control.tar.xz", xz(controlTar, "-0")],
      ["data.tar.zst", zstdCompressSync(data)],
    ]);
  const plain = tar([file("./control", control)]);
  await test("beyond any proportion", () =>
    refuses(archive(plain, zeros), "unsafe-archive", /expands to more than 268435456/));
  await test("xz, by its index", () =>
    refuses(archive(zeros.subarray(0, 65 * 1024 * 1024), tar([])), "unsafe-archive", /expands to more than 67108864/));
  await test("out of proportion to Installed-Size", () => {
    const data = Buffer.concat([tar([{ name: "./noise", content: randomBytes(1 << 20) }], zeros)]);
    const small = tar([file("./control", `${control}Installed-Size: 10\n`)]);
    return refuses(archive(small, data), "unsafe-archive", /Installed-Size is 10 KiB/);
  });
  await test("a control file beyond its bound", () => {
    const large = tar([{ name: "./control", content: "A: b\n".repeat(7_000_000) }]);
    return refuses(archive(large, tar([])), "unsafe-archive", /control file control has 35000000 bytes/);
  });
});

test("a wrong hash or size removes the cached archive, not a person's own file", async () => {
  const bytes = deb([file("./a")]);
  const archive = stored(bytes, sha256("another"));
  await assert.rejects(importDebian(store, archive.file, archive), { code: "hash-mismatch" });
  assert.equal(existsSync(archive.file), false);
  // A damaged download is a wrong hash, whatever else is wrong with it.
  const cut = stored(bytes.subarray(0, 100), sha256(bytes));
  await assert.rejects(importDebian(store, cut.file, { ...cut, size: bytes.length }), { code: "hash-mismatch" });
  assert.equal(existsSync(cut.file), false);
  const own = join(folder, "own.deb");
  writeFileSync(own, bytes);
  await assert.rejects(importDebian(store, own, { sha256: sha256("x"), size: bytes.length }), {
    code: "hash-mismatch",
  });
  assert.equal(readFileSync(own).length, bytes.length);
  await assert.rejects(importDebian(store, join(folder, "none"), { sha256: sha256("x"), size: 1 }), {
    code: "no-archive",
  });
  const good = await importDebian(store, own, { sha256: sha256(bytes), size: bytes.length });
  assert.equal(good.control.Package, "sample");
});

test("one bad archive of many is named and keeps no other out", async () => {
  const fresh = openStore(join(folder, "many"));
  const archives = Array.from({ length: 12 }, (_, i) => {
    const data = xz(tar([file(`./f${i}`, String(i).repeat(1000))]));
    if (i === 7) data[30]! ^= 255;
    const bytes = ar([
      ["debian-binary", "2.0\n"],
      ["control.tar.xz", xz(tar([file("./control", control)]))],
      ["data.tar.xz", data],
    ]);
    const archive = { sha256: sha256(bytes), size: bytes.length, name: `a${i}.deb`, file: join(folder, `a${i}.deb`) };
    writeFileSync(archive.file, bytes);
    return archive;
  });
  await assert.rejects(importAll(fresh, archives), (error) => {
    assert.ok(error instanceof MesoError);
    assert.deepEqual(
      error.problems.map((problem) => problem.what.split(":")[0]),
      ["a7.deb"],
    );
    return true;
  });
  assert.equal(readdirSync(join(fresh.directory, "segments")).length, 11);
  assert.equal((await importAll(fresh, archives.toSpliced(7, 1))).length, 11);
});
