import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MesoError } from "../base/error.ts";
import { mergePackages } from "./merge-packages.ts";
import { type PackageText, packagesOfText } from "./packages.testing.ts";

const merge = (texts: readonly PackageText[], diversions: Parameters<typeof mergePackages>[1] = []) =>
  mergePackages(packagesOfText(texts).packages, diversions).tree;

describe("merging packages", () => {
  it("moves what lies outside /usr and leaves links", () => {
    const tree = merge([
      {
        name: "a",
        files: { "/": "", "/bin/": "", "/bin/x": "x", "/lib64/ld.so": "l", "/lib/y": { hardLink: "/bin/x" } },
      },
    ]);
    assert.equal(tree.get("/usr/bin/x")?.kind, "file");
    assert.equal(tree.has("/bin/x"), false);
    for (const name of ["bin", "sbin", "lib", "lib64"]) {
      const link = tree.get(`/${name}`);
      assert.ok(link?.kind === "symlink" && link.target === `usr/${name}`, name);
    }
    const hard = tree.get("/usr/lib/y");
    assert.ok(hard?.kind === "hardlink" && hard.target === "/usr/bin/x");
  });

  it("refuses one path of two packages, also when only the merge of /usr brings them together", () => {
    const texts = [
      { name: "a", files: { "/bin/x": "1" } },
      { name: "b", files: { "/usr/bin/x": "2" } },
    ];
    assert.throws(
      () => merge(texts),
      (error) => error instanceof MesoError && /\/usr\/bin\/x is shipped by a 1 and by b 1/.test(error.message),
    );
  });

  it("lets a package replace another's file, if the version agrees, whatever their order", () => {
    for (const [one, other] of [
      ["a", "b"],
      ["b", "a"],
    ] as const) {
      const texts = (relation: string) => [
        { name: one, files: { "/x": "new" }, control: { Replaces: relation } },
        { name: other, files: { "/x": "old" } },
      ];
      assert.equal(merge(texts(`${other} (<< 2)`)).get("/x")?.origin, one);
      assert.throws(() => merge(texts(`${other} (<< 1)`)), MesoError);
    }
  });

  it("moves a diverted file aside", () => {
    const texts = [
      { name: "a", files: { "/usr/bin/x": "a" } },
      { name: "b", files: { "/usr/bin/x": "b" } },
    ];
    const tree = merge(texts, [{ path: "/usr/bin/x", to: "/usr/bin/x.real", by: "b" }]);
    assert.equal(tree.get("/usr/bin/x")?.origin, "b");
    assert.equal(tree.get("/usr/bin/x.real")?.origin, "a");
  });

  it("gives the same for any order of packages, and tells of folders that disagree", () => {
    const texts: PackageText[] = [
      { name: "c", files: { "/var/": { mode: 0o700 }, "/var/c": "c" } },
      { name: "base-files", files: { "/var/": { mode: 0o755 } } },
      { name: "a", files: { "/var/": { mode: 0o755 }, "/run/x/": "", "/var/run/": "", "/var/run/a": "a" } },
    ];
    const entries = (list: readonly PackageText[]) => [...merge(list)].sort(([a], [b]) => (a < b ? -1 : 1));
    assert.deepEqual(entries(texts), entries(texts.toReversed()));
    assert.equal(merge(texts).get("/var")?.mode, 0o755);
    assert.equal(mergePackages(packagesOfText(texts).packages, []).disagreements.length, 1);
  });

  it("puts what lies below a linked folder where the link leads", () => {
    const tree = merge([
      { name: "a", files: { "/var/run": { link: "/run" } } },
      { name: "b", files: { "/var/run/b": "b" } },
    ]);
    assert.equal(tree.get("/run/b")?.kind, "file");
    assert.equal(tree.has("/var/run/b"), false);
  });
});
