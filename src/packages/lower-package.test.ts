import assert from "node:assert/strict";
import { test } from "node:test";
import type { MesoError } from "../base/error.ts";
import { inherit, pipe } from "../language/inherit.ts";
import { gnu } from "./build-system.ts";
import { type LoweringFacts, lowerPackages } from "./lower-package.ts";
import { fetchUrl } from "./origin.ts";
import { patch } from "./patch.ts";
import { type SourcePackage, sourcePackage } from "./source-package.ts";
import { forMicroarchitecture, withDebug, withFlags, withInput, withPatch, withVersion } from "./transform.ts";

const facts: LoweringFacts = {
  system: "x86_64-linux",
  debianPackages: (_, names) =>
    names.map((name) => ({
      name,
      version: "1",
      architecture: "amd64",
      sha256: "a".repeat(64),
      size: 1,
      archive: "main",
      filename: `pool/${name}_1_amd64.deb`,
    })),
  debianSource: () => assert.fail("no Debian source is asked for"),
  localSource: () => assert.fail("no local source is asked for"),
};

const common = {
  source: ({ name, version }: { name: string; version: string }) =>
    fetchUrl(`https://example.org/${name}-${version}.tar.gz`),
  sha256: "b".repeat(64),
  buildSystem: gnu(),
};
const base = sourcePackage({ ...common, name: "base", version: "1.0" });
const other = sourcePackage({ ...common, name: "other", version: "1.0" });
const top = sourcePackage({ ...common, name: "top", version: "2.0", inputs: [base, other, "zlib1g-dev"] });

const pathOf = (pkg: SourcePackage) => lowerPackages([pkg], facts).nodes.get(pkg)!.path;

test("the same records give the same derivations, whatever people say of them", () => {
  assert.equal(pathOf(top), pathOf(inherit(top, { synopsis: "another", properties: { seen: true } })));
  assert.equal(pathOf(top), "/meso/store/612wvzjlvc81ig53zcr697fplchvv5ik-top-2.0.drv");
});

test("a version and a hash are enough for a new one, and exactly the dependents change", () => {
  const newer = inherit(base, { version: "1.1", sha256: "c".repeat(64) });
  const updated = withInput("base", newer)(top);
  const { graph, nodes } = lowerPackages([updated], facts);
  const urls = [...graph.derivations.values()].map(({ derivation }) => derivation.environment.get("urls"));
  assert.ok(urls.includes("https://example.org/base-1.1.tar.gz"));
  assert.ok(!urls.includes("https://example.org/base-1.0.tar.gz"));
  assert.notEqual(nodes.get(updated)!.path, pathOf(top));
  assert.equal(updated.inputs[1], other);
  assert.ok(graph.derivations.has(pathOf(other)));
});

test("transformations reach the whole graph, and leave alone what they do not change", () => {
  assert.equal(withFlags("absent", "--x")(top), top);
  const changed = pipe(
    top,
    withVersion("base", "1.2", "d".repeat(64)),
    withPatch("base", patch("fix.patch", "it's\n")),
    withFlags("other", "--with-x"),
    withDebug("top"),
  );
  const [inner, flagged] = changed.inputs as [SourcePackage, SourcePackage];
  assert.deepEqual([inner.version, inner.patches.length, flagged.configureFlags], ["1.2", 1, ["--with-x"]]);
  assert.deepEqual(changed.outputs, ["out", "debug"]);
  const tuned = forMicroarchitecture("x86-64-v3")(top);
  assert.deepEqual((tuned.inputs[0] as SourcePackage).compilerFlags, ["-march=x86-64-v3"]);
  assert.notEqual(pathOf(tuned), pathOf(top));
});

test("mistakes are told together, with their fields; a missing or wrong hash is one", () => {
  const wrong = sourcePackage({ ...common, name: "Wrong Name", version: "-", inputs: [7 as never] });
  assert.throws(
    () => pathOf(wrong),
    (error: MesoError) => error.problems.length === 3,
  );
  assert.throws(() => pathOf(inherit(base, { sha256: undefined })), /base: the source of base 1.0 has no hash/);
  assert.throws(() => pathOf(inherit(base, { sha256: "12" })), /expected: a SHA-256/);
});
