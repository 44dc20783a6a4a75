import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { sha256 } from "../base/hash.ts";
import { readSegmentFile } from "../store/read-content.ts";
import type { DebianSegment, SegmentEntry } from "../store/segment.ts";
import { openStore } from "../store/store.ts";
import { importDebian } from "./import.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-real-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const store = openStore(join(folder, "store"));

/** Set-uid and set-gid programs, other owners, hard links, many links, non-ASCII names, large and empty ones. */
const packages =
  "adduser at base-files base-passwd bash bsdutils bzip2 ca-certificates chrony coreutils cron dbus e2fsprogs fdisk " +
  "gzip iputils-ping kmod less libc6 login logrotate netbase openssh-server passwd perl-base plocate " +
  "procps rsyslog sudo systemd tzdata udev util-linux";

/** Kept between runs, in a folder named by the wish. */
const cache = join(tmpdir(), `mesoforge-test-archives-${sha256(packages).slice(0, 12)}`);

/** Archives of the machine's own suite, from the mirror that apt knows; empty when it cannot be reached. */
function archives(): string[] {
  const list = () => readdirSync(cache).filter((name) => name.endsWith(".deb"));
  mkdirSync(cache, { recursive: true });
  if (list().length < packages.split(" ").length) {
    spawnSync("apt-get", ["download", "-qq", ...packages.split(" ")], { cwd: cache, stdio: "ignore" });
  }
  return list().map((name) => join(cache, name));
}

/** The line that `tar --list --verbose --full-time` prints for an entry. */
function listing(entry: SegmentEntry): string {
  const types = { file: "-", directory: "d", symlink: "l", hardlink: "h" };
  const bit = (mask: number, letter: string) => ((entry.mode & mask) !== 0 ? letter : "-");
  const execute = (mask: number, special: number, letter: string) => {
    const name = (entry.mode & mask) !== 0 ? letter : letter.toUpperCase();
    return (entry.mode & special) !== 0 ? name : bit(mask, "x");
  };
  const mode = [
    [bit(0o400, "r"), bit(0o200, "w"), execute(0o100, 0o4000, "s")],
    [bit(0o040, "r"), bit(0o020, "w"), execute(0o010, 0o2000, "s")],
    [bit(0o004, "r"), bit(0o002, "w"), execute(0o001, 0o1000, "t")],
  ];
  const owner = `${entry.user ?? "root"}/${entry.group ?? "root"}`;
  const time = new Date(entry.mtime * 1000).toISOString().slice(0, 19).replace("T", " ");
  const size = entry.kind === "file" ? entry.size : 0;
  const path = entry.path === "/" ? "./" : `.${entry.path}${entry.kind === "directory" ? "/" : ""}`;
  const links = { symlink: " -> ", hardlink: " link to ." };
  const link = entry.kind === "symlink" || entry.kind === "hardlink" ? links[entry.kind] + entry.target : "";
  return `${types[entry.kind]}${mode.flat().join("")} ${owner} ${size} ${time} ${path}${link}`;
}

function compare(segment: DebianSegment, file: string): void {
  const fsys = execFileSync("dpkg-deb", ["--fsys-tarfile", file], { maxBuffer: 1 << 30 });
  const options = [
    "--list",
    "--verbose",
    "--full-time",
    "--utc",
    "--quoting-style=literal",
    "--show-transformed-names",
  ];
  const text = execFileSync("tar", options, {
    input: fsys,
    env: { ...process.env, LC_ALL: "C.UTF-8" },
    maxBuffer: 1 << 28,
  });
  const expected = text
    .toString()
    .trimEnd()
    .split("\n")
    .map((line) => line.replace(/^(\S+ \S+) +/, "$1 "));
  assert.deepEqual(segment.entries.map(listing), expected);

  const root = join(folder, "root");
  execFileSync("dpkg-deb", ["--extract", file, root]);
  for (const entry of segment.entries) {
    const place = join(root, entry.path);
    if (entry.kind === "symlink") assert.equal(readlinkSync(place), entry.target);
    if (entry.kind !== "file") continue;
    assert.ok(readFileSync(place).equals(readSegmentFile(store, segment.id, entry)), entry.path);
    assert.equal(entry.size === 0 ? entry.offset : entry.offset % 4096, 0);
  }
  execFileSync("dpkg-deb", ["--control", file, join(folder, "control")]);
  assert.deepEqual(
    Object.keys(segment.controlFiles).sort(),
    readdirSync(join(folder, "control"))
      .filter((name) => name !== "control")
      .sort(),
  );
  for (const [name, content] of Object.entries(segment.controlFiles)) {
    assert.equal(content, readFileSync(join(folder, "control", name), "utf8"), name);
  }
  const written = Object.entries(segment.control).map(([name, value]) => `${name}:${value.replace(/^(?!\n)/, " ")}`);
  assert.equal(written.join("\n"), readFileSync(join(folder, "control/control"), "utf8").trimEnd());
  for (const name of ["root", "control"]) rmSync(join(folder, name), { recursive: true, force: true });
}

test("Debian's own archives come in as dpkg-deb and tar see them", async (t) => {
  const files = archives();
  if (files.length === 0) return t.skip("the Debian mirror cannot be reached");
  for (const file of files) {
    const bytes = readFileSync(file);
    const given = { sha256: sha256(bytes), size: bytes.length };
    const segment = await importDebian(store, file, given);
    compare(segment, file);
    assert.deepEqual(await importDebian(store, file, given), segment, "read again");
    assert.equal(await store.verifySegment(segment.id), true);
  }
});

test("whatever dpkg-deb compresses with is read", async () => {
  const source = join(folder, "source");
  // dpkg-deb refuses control files that only their owner may read.
  process.umask(0o022);
  mkdirSync(join(source, "DEBIAN"), { recursive: true });
  mkdirSync(join(source, `usr/share/${"long-name-".repeat(20)}`), { recursive: true });
  writeFileSync(
    join(source, "DEBIAN/control"),
    "Package: made\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\nDescription: x\n",
    { mode: 0o644 },
  );
  writeFileSync(join(source, "DEBIAN/postinst"), "#!/bin/sh\nexit 0\n", { mode: 0o755 });
  writeFileSync(join(source, `usr/share/${"long-name-".repeat(20)}/größe`), "content\n");
  writeFileSync(join(source, "usr/share/large"), Buffer.alloc(3_000_000, "0123456789\n"));
  for (const compression of ["none", "gzip", "xz", "zstd"]) {
    for (const uniform of ["--uniform-compression", "--no-uniform-compression"]) {
      const file = join(folder, `${compression}${uniform}.deb`);
      const options = ["--root-owner-group", `-Z${compression}`, uniform, "--build", source, file];
      const { status } = spawnSync("dpkg-deb", options, { stdio: "ignore" });
      if (status !== 0 && compression === "zstd") continue;
      assert.equal(status, 0, options.join(" "));
      const segment = await importDebian(store, file, {
        sha256: sha256(readFileSync(file)),
        size: statSync(file).size,
      });
      compare(segment, file);
    }
  }
});
