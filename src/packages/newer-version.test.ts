import assert from "node:assert/strict";
import { test } from "node:test";
import { newestAbove, versionsInListing, versionsOfTags } from "./newer-version.ts";

test("the highest version above one's own, release candidates before releases", () => {
  assert.equal(newestAbove("2.9.0", ["2.8.1", "2.10.0", "2.9.0"]), "2.10.0");
  assert.equal(newestAbove("2.9.0", ["2.9.0", "2.9.0rc1", "2.9.0-rc2", "nightly"]), undefined);
  assert.equal(newestAbove("2.1.12-stable", ["2.1.12-stable", "2.1.13-stable"]), "2.1.13-stable");
  assert.equal(newestAbove("1.9", []), undefined);
});

test("versions are found in a server's listing, whatever the compression, and not in other names", () => {
  const listing = [
    "hello-2.9.tar.gz",
    "hello-2.12.1.tar.xz",
    "hello-2.12.1.tar.xz.sig",
    "shello-9.9.tar.gz",
    "hello-doc-3.tar.gz",
  ]
    .map((name) => `<a href="${name}">${name}</a>`)
    .join("\n");
  assert.deepEqual(versionsInListing(listing, "hello-2.10.tar.gz", "2.10"), ["2.9", "2.12.1"]);
  assert.deepEqual(versionsInListing(listing, "download", "2.10"), []);
  assert.deepEqual(versionsInListing("a".repeat(100_000), "a1.tar.gz", "1"), []);
});

test("versions are found in tags", () => {
  const tags = ["v1.2", "hello-1.3", "release/1.4", "1_5", "latest", "r10"].map(
    (name) => `${"0".repeat(40)}\trefs/tags/${name}`,
  );
  assert.deepEqual(versionsOfTags([...tags, `${"0".repeat(40)}\trefs/tags/v1.2^{}`].join("\n")), [
    "1.2",
    "1.3",
    "1.4",
    "1.5",
  ]);
});
