import assert from "node:assert/strict";
import { test } from "node:test";
import { inherit } from "../language/inherit.ts";
import { fetchUrl, gnu, sourcePackage } from "./index.ts";
import { lintPackage } from "./lint-package.ts";

const good = sourcePackage({
  name: "hello",
  version: "2.10",
  source: ({ version }) =>
    fetchUrl([`https://a.example/hello-${version}.tar.gz`, `https://b.example/hello-${version}.tar.gz`]),
  sha256: "0".repeat(64),
  buildSystem: gnu(),
  inputs: ["zlib1g-dev"],
  synopsis: "greeting, and an example of how packages are built",
  licence: "GPL-3.0-or-later",
  homePage: "https://www.gnu.org/software/hello/",
});

test("a package in order gives no reason to complain", () => {
  assert.deepEqual(lintPackage(good), []);
  assert.deepEqual(
    lintPackage(inherit(good, { licence: "(MIT OR Apache-2.0 WITH LLVM-exception) AND BSD-3-Clause" })),
    [],
  );
});

test("what people and tools will miss is told with the place", () => {
  const poor = inherit(good, {
    ...{ synopsis: "", licence: "like Perl itself", homePage: "hello", tests: false, inputs: ["cmake"] },
    source: fetchUrl("http://a.example/download", { sha256: "0".repeat(64) }),
  });
  const found = lintPackage(poor);
  assert.deepEqual(
    [...new Set(found.map(({ check }) => check))],
    ["synopsis", "licence", "home-page", "tests", "source", "inputs"],
  );
  assert.ok(found.every((one) => one.package === "hello 2.10" && one.where?.file.endsWith("lint-package.test.ts")));
  assert.deepEqual(
    found.filter(({ severity }) => severity === "error").map(({ check }) => check),
    ["home-page"],
  );
  const [first] = lintPackage(inherit(good, { synopsis: "Hello is a program." }));
  assert.match(first!.what, /ends with a full stop/);
});
