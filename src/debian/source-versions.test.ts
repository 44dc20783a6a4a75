import assert from "node:assert/strict";
import { test } from "node:test";
import { inventedSource, inventedText } from "./package-index-fixture.testing.ts";
import { sourcePackage } from "./source-package.ts";
import { sourceVersions } from "./source-versions.ts";

test("the source of a package, by its name unless said", () => {
  assert.deepEqual(sourcePackage("bash", "5-1", undefined), { source: "bash", sourceVersion: "5-1" });
  assert.deepEqual(sourcePackage("libc6", "2-1", "glibc"), { source: "glibc", sourceVersion: "2-1" });
  assert.deepEqual(sourcePackage("bash", "5-1+b2", "bash (5-1)"), { source: "bash", sourceVersion: "5-1" });
  for (const wrong of ["", "a b", "a (1", "a (1) b", "(1)", "../x"]) {
    assert.throws(() => sourcePackage("x", "1", wrong), { code: "bad-index" }, wrong);
  }
});

test("of each source the newest version in each suite, with what was built from it", async () => {
  const main = inventedText([
    { Package: "libssl3", Version: "3-1+b1", Source: "openssl (3-1)" },
    { Package: "openssl", Version: "3-1" },
    { Package: "image-5", Version: "5-1", Source: "linux (5+1)" },
    { Package: "image-6", Version: "6-1", Source: "linux (6+1)" },
    { Package: "cruft", Version: "4-1", Source: "linux (4+1)" },
  ]);
  const security = inventedText([
    { Package: "openssl", Version: "3-2", Description: "x\n Version: none\n Source: none" },
  ]);
  const offers = await sourceVersions([inventedSource(main, "s"), inventedSource(security, "s-security")]);
  assert.deepEqual(Object.fromEntries(offers), {
    openssl: [
      { suite: "s", archive: "main", version: "3-1", binaries: ["libssl3", "openssl"] },
      { suite: "s-security", archive: "security", version: "3-2", binaries: ["openssl"] },
    ],
    linux: [{ suite: "s", archive: "main", version: "6+1", binaries: ["image-6"] }],
  });
  assert.deepEqual(
    await sourceVersions([inventedSource(Buffer.from(main), "s")]),
    await sourceVersions([inventedSource(main, "s")]),
  );
});

test("a stanza without a name, a version, or with a wrong one is refused", async () => {
  for (const text of [
    "Version: 1\n\n",
    "Package: a\n\n",
    "Package: a\nVersion: x y\n\n",
    "Package: a\nVersion: 1\nSource: ?\n",
  ]) {
    await assert.rejects(sourceVersions([inventedSource(text)]), /bad|stanza|version|Source/i);
  }
  assert.equal((await sourceVersions([inventedSource("")])).size, 0);
});
