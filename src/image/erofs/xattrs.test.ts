import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeXattrs } from "./xattrs.ts";

test("the body is a header and entries sorted by name, padded to 4 bytes", () => {
  const body = encodeXattrs({ "user.b": Buffer.from("12345"), "trusted.a": Buffer.from("1") }, "/file");
  const header = "00".repeat(12);
  const trusted = "01040100" + "6131" + "0000";
  const user = "01010500" + "62" + "3132333435" + "0000";
  assert.equal(body.toString("hex"), header + trusted + user);
  assert.equal(encodeXattrs({}, "/file").length, 0);
  assert.equal(encodeXattrs(undefined, "/file").length, 0);
});

test("an access list is named by its index alone", () => {
  const body = encodeXattrs({ "system.posix_acl_access": Buffer.from("acl!") }, "/file");
  assert.equal(body.subarray(12).toString("hex"), `00020400${Buffer.from("acl!").toString("hex")}`);
});

test("attributes beyond what an inode can count are refused", () => {
  const many = Object.fromEntries(Array.from({ length: 5 }, (_, i) => [`user.${i}`, Buffer.alloc(60_000)]));
  assert.throws(() => encodeXattrs(many, "/file"), { code: "bad-xattr" });
});
