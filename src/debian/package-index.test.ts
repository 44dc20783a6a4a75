import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { MesoError } from "../base/error.ts";
import { openPackageIndex } from "./package-index.ts";
import { inventedIndex, inventedSource, inventedText } from "./package-index-fixture.testing.ts";
import { writePackageIndex } from "./package-index-writer.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-index-"));
after(() => rmSync(folder, { recursive: true }));

const digest = "ab".repeat(32);

test("versions of several suites: highest first, one version of two suites is one", async () => {
  const common = { Package: "a", Version: "1.10-1", SHA256: digest };
  using index = await inventedIndex({
    texts: [
      inventedSource(inventedText([common, { Package: "b" }]), "s"),
      inventedSource(inventedText([common, { Package: "a", Version: "1.9-1" }]), "s-updates"),
      inventedSource(inventedText([{ Package: "a", Version: "1.10-1+deb1u1" }]), "s-security"),
    ],
  });
  assert.deepEqual(
    index.versions("a").map(({ version, sources }) => [version, ...sources.map(({ suite }) => suite)]),
    [
      ["1.10-1+deb1u1", "s-security"],
      ["1.10-1", "s", "s-updates"],
      ["1.9-1", "s-updates"],
    ],
  );
  assert.equal(index.versions("a")[0]!.sources[0]!.archive, "security");
  assert.equal(index.versions("a")[1], index.versions("a")[1], "a stanza is read once");
  assert.deepEqual(index.names(), ["a", "b"]);
  assert.deepEqual(index.versions("c"), []);
});

test("a stanza's fields, providers and essential packages", async () => {
  using index = await inventedIndex([
    {
      Package: "exim",
      Version: "4.98-1",
      Architecture: "all",
      "Multi-Arch": "foreign",
      "Installed-Size": "12",
      Size: "345",
      SHA256: digest,
      Filename: "pool/main/e/exim_4.98-1_all.deb",
      Provides: "mta (= 4.98), mail",
      Depends: "libc6 (>= 2)",
      Description: "mailer – small\n long text",
      MD5sum: "00",
      Tag: "role::program,\n implemented-in::c",
      Homepage: "https://example.org/",
    },
    { Package: "postfix", Provides: "mta" },
    { Package: "bash", Essential: "yes" },
  ]);
  const [exim] = index.versions("exim");
  const { stanza, ...fields } = exim!;
  assert.deepEqual(fields, {
    name: "exim",
    version: "4.98-1",
    architecture: "all",
    sources: [{ archive: "main", suite: "invented", component: "main", architecture: "amd64", notAutomatic: false }],
    mention: 0,
    filename: "pool/main/e/exim_4.98-1_all.deb",
    sha256: digest,
    size: 345,
    installedSize: 12 * 1024,
    essential: false,
    multiArch: "foreign",
    priority: "optional",
    section: "",
    synopsis: "mailer – small",
    preDepends: [],
    depends: [[{ name: "libc6", constraint: { operator: ">=", version: "2" } }]],
    recommends: [],
    conflicts: [],
    breaks: [],
    provides: [[{ name: "mta", constraint: { operator: "=", version: "4.98" } }], [{ name: "mail" }]],
  });
  assert.equal(stanza.fields.get("Homepage"), "https://example.org/");
  assert.equal(stanza.fields.get("Description"), "mailer – small\n long text");
  assert.ok(!stanza.fields.has("MD5sum") && !stanza.fields.has("Tag"));
  assert.deepEqual(
    index.providers("mta").map(({ name }) => name),
    ["exim", "postfix"],
  );
  assert.deepEqual(
    index.providers("mail").map(({ name }) => name),
    ["exim"],
  );
  assert.deepEqual(index.providers("libc6"), []);
  assert.deepEqual(
    index.essential().map(({ name }) => name),
    ["bash"],
  );
  assert.deepEqual(index.names(), ["bash", "exim", "postfix"], "merely virtual names are not among them");
});

test("search and nearest names", async () => {
  using index = await inventedIndex([
    { Package: "vim", Version: "9", Description: "Vi IMproved editor" },
    { Package: "vim-gtk3", Description: "Vi IMproved" },
    { Package: "neovim", Description: "editor refactored" },
    { Package: "nano", Description: "small EDITOR, inspired by pico" },
    { Package: "openssh-server", Description: "secure shell" },
  ]);
  const found = (...terms: string[]) => index.search(terms).map(({ name }) => name);
  assert.deepEqual(found("VIM"), ["vim", "vim-gtk3", "neovim"]);
  assert.deepEqual(found("editor"), ["nano", "neovim", "vim"]);
  assert.deepEqual(found("editor", "vim"), ["neovim", "vim"]);
  assert.deepEqual(found("9"), [], "the version is not searched");
  assert.deepEqual(found(""), []);
  assert.deepEqual(index.search(["improved editor"]), [{ name: "vim", version: "9", synopsis: "Vi IMproved editor" }]);
  assert.deepEqual(index.nearestNames("opnessh-server"), ["openssh-server"]);
  assert.deepEqual(index.nearestNames("nanno"), ["nano"]);
  assert.deepEqual(index.nearestNames("ivm"), ["vim"]);
  assert.deepEqual(index.nearestNames("xxxxxxxx"), []);
});

test("the same texts give the same bytes, and nothing is left aside", async () => {
  const text = inventedText([
    { Package: "b", Provides: "x" },
    { Package: "a", Depends: "b" },
  ]);
  const write = async (name: string, given: string | Uint8Array) => {
    await writePackageIndex(join(folder, name), [inventedSource(given)]);
    return readFileSync(join(folder, name));
  };
  assert.deepEqual(await write("one", text), await write("two", Buffer.from(text)));
  await assert.rejects(writePackageIndex(join(folder, "one"), [inventedSource("broken")]), { code: "bad-index" });
  assert.deepEqual(
    readFileSync(join(folder, "one")),
    readFileSync(join(folder, "two")),
    "a failure leaves the old one",
  );
  assert.ok(readdirSync(folder).every((name) => !name.endsWith(".partial")));
});

test("malformed Packages texts are refused with suite and line", async () => {
  const good = inventedText([{ Package: "a" }]);
  const second = inventedText([{ Package: "b", Version: "2" }]);
  const secondLine = good.split("\n").length;
  const without = (field: string) => good + second.replace(new RegExp(`^${field}: .*\n`, "m"), "");
  const cases: [string, string | Uint8Array, number][] = [
    ["no Package", without("Package"), secondLine],
    ["no Version", without("Version"), secondLine],
    ["no Architecture", without("Architecture"), secondLine],
    ["no Filename", without("Filename"), secondLine],
    ["no SHA256", without("SHA256"), secondLine],
    ["no Size", without("Size"), secondLine],
    ["short digest", good + second.replace(/^SHA256: ../m, "SHA256: "), secondLine],
    ["negative size", good + second.replace(/^Size: /m, "Size: -"), secondLine],
    ["climbing name", good + second.replace("Package: b", "Package: ../b"), secondLine],
    ["truncated", (good + second).slice(0, -20), secondLine + 6],
    ["no colon", `${good}Package b\n`, secondLine],
    ["continuation first", `${good} x\n`, secondLine],
    ["field twice", good + second.replace("Version: 2", "Version: 2\nVersion: 3"), secondLine + 2],
    ["same version, other contents", good + good.replace(/^SHA256: ../m, "SHA256: 00"), secondLine],
    ["Provides", good + second.replace("Version: 2", "Version: 2\nProvides: (x"), secondLine],
    [
      "not UTF-8",
      Buffer.from(`${good}${second}`.replace("Package: b", "Package: b\nX: \xff"), "latin1"),
      secondLine + 1,
    ],
  ];
  for (const [name, text, line] of cases) {
    await assert.rejects(
      writePackageIndex(join(folder, "refused"), [inventedSource(text, "some-suite")]),
      (error) =>
        error instanceof MesoError &&
        error.message.startsWith(`Packages of some-suite/main amd64 (main), line ${line}:`),
      name,
    );
  }
  await assert.rejects(
    writePackageIndex(join(folder, "refused"), [inventedSource(`A: ${"x\n y".repeat(5e6)}\n`)]),
    /stanza of more/,
  );
  using repeated = await inventedIndex({ texts: [inventedSource(good + good)] });
  assert.equal(repeated.versions("a").length, 1, "the very same stanza twice does no harm");
});

test("fields that only the reader of a stanza looks at", async () => {
  const refused = async (fields: Record<string, string>, pattern: RegExp) => {
    using index = await inventedIndex([{ Package: "a", ...fields }]);
    assert.throws(
      () => index.versions("a"),
      (error) => error instanceof MesoError && pattern.test(error.message),
    );
  };
  await refused({ Version: "not a version" }, /not a Debian version/);
  await refused({ Depends: "b (" }, /field Depends/);
  await refused({ "Multi-Arch": "maybe" }, /Multi-Arch/);
  await refused({ "Installed-Size": "many" }, /Installed-Size/);
  await refused({ Filename: "../../etc/passwd" }, /Filename/);
  await refused({ Filename: "pool/a b" }, /Filename/);
});

test("a damaged index file is told as such, wherever it is cut or altered", async () => {
  const whole = join(folder, "whole");
  await writePackageIndex(whole, [inventedSource(inventedText([{ Package: "a", Provides: "v" }, { Package: "b" }]))]);
  const bytes = readFileSync(whole);
  const damaged = join(folder, "damaged");
  const tryAll = () => {
    using index = openPackageIndex(damaged);
    index.names();
    index.versions("a");
    index.versions("b");
    index.providers("v");
  };
  copyFileSync(whole, damaged);
  tryAll();
  for (let length = 0; length < bytes.length; length += 7) {
    writeFileSync(damaged, bytes.subarray(0, length));
    assert.throws(tryAll, { code: "damaged-index" }, `cut at ${length}`);
  }
  let unnoticed = 0;
  for (let at = 0; at < bytes.length; at++) {
    const altered = Buffer.from(bytes);
    altered[at]! ^= 0x10;
    writeFileSync(damaged, altered);
    try {
      tryAll();
      unnoticed++;
    } catch (error) {
      assert.ok(error instanceof MesoError, `altered at ${at}: ${error}`);
    }
  }
  // Only the stanzas have no checksum of their own: what they say of an archive is checked with the archive.
  assert.ok(unnoticed < bytes.length / 2, `${unnoticed} of ${bytes.length}`);
  assert.throws(() => openPackageIndex(join(folder, "absent")), { code: "missing-index" });
});
