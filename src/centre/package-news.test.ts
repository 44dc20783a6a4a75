import assert from "node:assert/strict";
import { mkdtempSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { MesoError } from "../base/error.ts";
import { prepareSystem } from "../build/prepare.ts";
import { changelogEntries } from "../debian/changelog.ts";
import { agreesWithDpkg } from "../debian/changelog-oracle.testing.ts";
import { fileSystem, label, operatingSystem } from "../index.ts";
import { openssh } from "../services/index.ts";
import { openStore } from "../store/store.ts";
import { type NewSegmentEntry, writeSegment } from "../store/write-segment.ts";
import { testSession } from "../test-support/test-session.ts";
import { compareDescriptions } from "./compare-descriptions.ts";
import { packageNews } from "./package-news.ts";
import { changelogReader } from "./read-changelog.ts";
import { describedPackage, emptyDescription } from "./system-description.testing.ts";
import type { DescribedPackage } from "./system-description.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-news-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const entry = (version: string, changes: string, urgency = "medium"): string =>
  `openssl (${version}) trixie-security; urgency=${urgency}\n\n  * ${changes}\n\n -- A <a@example.org>  Sat, 12 Sep 2026 07:55:41 +0000\n\n`;
const changelog =
  entry("3-1+deb13u2", "Fix CVE-2026-20002 and CVE-2026-20001", "high") +
  entry("3-1+deb13u1", "Fix CVE-2026-10001") +
  entry("3-1", "New upstream version");

describe("news of packages", () => {
  const libssl = (version: string, more: Partial<DescribedPackage> = {}) =>
    describedPackage("libssl3", version, { source: "openssl", ...more });
  const openssl = (version: string) => describedPackage("openssl", version);
  const between = (before: readonly DescribedPackage[], now: readonly DescribedPackage[]) =>
    compareDescriptions(
      { ...emptyDescription, packages: before },
      { ...emptyDescription, packages: now, systemHash: "0".repeat(64) },
    ).packages;
  const newsOf = (before: readonly DescribedPackage[], now: readonly DescribedPackage[], text = changelog) =>
    packageNews(between(before, now), [...before, ...now], async () => text);

  it("are told once for all packages of a source, with what each entry mends", async () => {
    const [news, ...more] = await newsOf(
      [libssl("3-1"), openssl("3-1")],
      [libssl("3-1+deb13u2"), openssl("3-1+deb13u2")],
    );
    assert.deepEqual(more, []);
    assert.deepEqual(news?.packages, ["libssl3", "openssl"]);
    assert.deepEqual([news?.direction, news?.before, news?.after], ["brings", "3-1", "3-1+deb13u2"]);
    assert.deepEqual(news?.cves, ["CVE-2026-10001", "CVE-2026-20001", "CVE-2026-20002"]);
    assert.deepEqual(
      news?.entries.map(({ version, urgency, cves }) => [version, urgency, ...cves]),
      [
        ["3-1+deb13u2", "high", "CVE-2026-20001", "CVE-2026-20002"],
        ["3-1+deb13u1", "medium", "CVE-2026-10001"],
      ],
    );
  });

  it("go by the version of the source, which a rebuild does not change", async () => {
    const rebuilt = libssl("3-1+b1", { sourceVersion: "3-1" });
    assert.deepEqual(await newsOf([libssl("3-1")], [rebuilt]), []);
  });

  it("go by the source also where packages change their names, as kernels do", async () => {
    const kernel = (name: string, version: string) => describedPackage(name, version, { source: "openssl" });
    const [news] = await newsOf([kernel("image-3-1", "3-1")], [kernel("image-3-2", "3-1+deb13u1")]);
    assert.deepEqual([news?.packages, news?.cves], [["image-3-2"], ["CVE-2026-10001"]]);
    assert.deepEqual(await newsOf([], [kernel("image-3-2", "3-1+deb13u1")]), [], "what is new has no news");
    assert.deepEqual(await newsOf([kernel("image-3-1", "3-1")], []), []);
  });

  it("of a way back tell which fixes are lost", async () => {
    const [news] = await newsOf([libssl("3-1+deb13u2")], [libssl("3-1+deb13u1")]);
    assert.deepEqual([news?.direction, ...(news?.cves ?? [])], ["loses", "CVE-2026-20001", "CVE-2026-20002"]);
  });

  it("are bounded, and say what is left out", async () => {
    const many = Array.from({ length: 90 }, (_, i) =>
      entry(`3-${100 - i}`, `CVE-2025-${1000 + i} ${"x".repeat(30_000)}`),
    ).join("");
    const [news] = await newsOf([libssl("3-1")], [libssl("3-100")], many);
    assert.deepEqual([news?.entries.length, news?.omitted, news?.cves.length], [50, 40, 90]);
    assert.ok(news!.entries[0]!.changes.length < 17_000 && news!.entries[0]!.changes.endsWith("…"));
  });

  it("that cannot be had do not stop a plan, nor hide what else is wrong", async () => {
    const changes = between([libssl("3-1")], [libssl("3-2")]);
    const [news] = await packageNews(changes, [], async () => {
      throw new MesoError({ code: "archive-gone", what: "the mirror has it no more" });
    });
    assert.deepEqual([news?.unknown, news?.entries], ["the mirror has it no more", []]);
    const bug = packageNews(changes, [], async () => assert.fail("a bug"));
    await assert.rejects(bug, /a bug/);
  });
});

describe("a package's changelog", () => {
  const session = testSession();

  it("is read from Debian's archives, as dpkg reads it", async () => {
    const os = operatingSystem({
      hostName: "a",
      fileSystems: [fileSystem({ device: label("a"), mountPoint: "/", type: "ext4" })],
      services: [openssh()],
    });
    const { packages } = await prepareSystem(session, os);
    const read = changelogReader(session);
    const named = (name: string) => packages.find((one) => one.name === name);
    // Packages with a folder of their own; the last links to another package's.
    for (const name of ["base-files", "openssh-server", "libssl3t64", "bsdutils", "libgcc-s1"]) {
      const text = await read(named(name)!, named);
      assert.equal([...changelogEntries(text)].at(-1)!.version !== "", true);
      agreesWithDpkg(text);
    }
    await assert.rejects(
      read(named("libgcc-s1")!, () => undefined),
      (error: MesoError) => error.code === "no-changelog" && /gcc-14-base, which is not at hand/.test(error.message),
    );
  });

  const store = openStore(join(folder, "store"));
  const elsewhere = { ...session, store };
  const attributes = { mode: 0o644, uid: 0, gid: 0, mtime: 1 };
  const file = (path: string, bytes: Uint8Array | string): NewSegmentEntry => ({
    ...attributes,
    kind: "file",
    path,
    bytes: Buffer.from(bytes),
  });
  const symlink = (path: string, target: string): NewSegmentEntry => ({ ...attributes, kind: "symlink", path, target });
  const made = async (name: string, entries: readonly NewSegmentEntry[]) => {
    const one = describedPackage(name, "1");
    await writeSegment(store, one.sha256, entries);
    return one;
  };
  const read = (one: DescribedPackage, ...others: readonly DescribedPackage[]) =>
    changelogReader(elsewhere)(one, (name) => others.find((other) => other.name === name));
  const refused = (code: string) => (error: unknown) => error instanceof MesoError && error.code === code;

  it("is found by its names, through links of files and folders", async () => {
    const document = "/usr/share/doc";
    const base = await made("base", [file(`${document}/base/changelog.gz`, gzipSync(changelog))]);
    const plain = await made("plain", [file(`${document}/plain/changelog.Debian`, "plain")]);
    const both = await made("both", [
      file(`${document}/both/changelog.gz`, gzipSync("upstream's")),
      file(`${document}/both/changelog.Debian.gz`, gzipSync("Debian's")),
    ]);
    const folderLink = await made("folder-link", [symlink(`${document}/folder-link`, "base")]);
    const twice = await made("twice", [symlink(`${document}/twice`, "/usr/share/doc/folder-link")]);
    const fileLink = await made("file-link", [
      symlink(`${document}/file-link/changelog.Debian.gz`, "../base/changelog.gz"),
    ]);
    const within = await made("within", [
      symlink(`${document}/within/changelog.Debian.gz`, "changelog.gz"),
      file(`${document}/within/changelog.gz`, gzipSync("within")),
    ]);
    assert.equal(await read(base), changelog);
    assert.equal(await read(plain), "plain");
    assert.equal(await read(both), "Debian's");
    assert.equal(await read(folderLink, base), changelog);
    assert.equal(await read(twice, folderLink, base), changelog);
    assert.equal(await read(fileLink, base), changelog);
    assert.equal(await read(within), "within");
  });

  it("is unpacked once for all who ask", async () => {
    const one = await made("often", [file("/usr/share/doc/often/changelog.gz", gzipSync("often"))]);
    const reader = changelogReader(elsewhere);
    const read = () => reader(one, () => undefined);
    assert.equal(await read(), "often");
    truncateSync(store.segmentDataPath(one.sha256), 0);
    assert.equal(await read(), "often");
  });

  it("that leads nowhere, in circles or to endless text is refused", async () => {
    const document = "/usr/share/doc";
    const cases = [
      await made("none", [file("/usr/bin/none", "x")]),
      await made("circle", [symlink(`${document}/circle`, "circle")]),
      await made("away", [symlink(`${document}/away`, "../../../etc/shadow")]),
      await made("bomb", [file(`${document}/bomb/changelog.gz`, gzipSync(Buffer.alloc(100 << 20)))]),
      await made("torn", [file(`${document}/torn/changelog.gz`, gzipSync(changelog).subarray(0, 100))]),
      await made("loop", [
        symlink(`${document}/loop/changelog.gz`, "changelog"),
        symlink(`${document}/loop/changelog`, "changelog.gz"),
      ]),
    ];
    for (const one of cases) await assert.rejects(read(one, ...cases), refused("no-changelog"), one.name);
    const [ping, pong] = [
      await made("ping", [symlink(`${document}/ping`, "pong")]),
      await made("pong", [symlink(`${document}/pong`, "ping")]),
    ];
    await assert.rejects(read(ping, ping, pong), refused("no-changelog"));
  });

  it("of an archive that no mirror has is unknown", async (t) => {
    const usual = process.env.MESO_DEBIAN_MIRROR;
    process.env.MESO_DEBIAN_MIRROR = `${pathToFileURL(join(folder, "empty"))}`;
    t.after(() => {
      if (usual === undefined) delete process.env.MESO_DEBIAN_MIRROR;
      else process.env.MESO_DEBIAN_MIRROR = usual;
    });
    await assert.rejects(read(describedPackage("gone", "1")), (error) => error instanceof MesoError);
  });
});
