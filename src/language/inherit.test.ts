import assert from "node:assert/strict";
import { test } from "node:test";
import { userAccount } from "./account.ts";
import { grub } from "./bootloader.ts";
import { channel } from "./channel.ts";
import { recordProblems } from "./check.ts";
import { label } from "./device.ts";
import { fileSystem } from "./file-system.ts";
import { inherit, pipe } from "./inherit.ts";
import { host } from "./name-resolution.ts";
import { defineOperatingSystem } from "./operating-system.ts";
import { factsOf, locationOf } from "./record.ts";

const operatingSystem = defineOperatingSystem({ packages: ["less"], services: [] });
const root = fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" });

test("records are frozen to the bottom, and do not freeze what they were made from", () => {
  const options = ["noatime"];
  const record = fileSystem({ device: label("a"), mountPoint: "/srv", type: "ext4", options });
  assert.throws(() => (record.options as string[]).push("x"), TypeError);
  assert.throws(() => Object.assign(record, { type: "xfs" }), TypeError);
  assert.throws(() => Object.assign(record.device, { label: "b" }), TypeError);
  options.push("nodev");
  assert.deepEqual(record.options, ["noatime"]);
});

test("inherit changes what is said and keeps the rest", () => {
  const base = operatingSystem({ hostName: "a", fileSystems: [root], kernelArguments: ["quiet"] });
  const changed = inherit(base, (old) => ({ hostName: "b", packages: [...old.packages, "htop"] }));
  assert.equal(base.hostName, "a");
  assert.equal(changed.hostName, "b");
  assert.deepEqual(changed.packages, ["less", "htop"]);
  assert.deepEqual(changed.kernelArguments, ["quiet"]);
  assert.equal(changed.fileSystems[0], root);
});

test("inherit works out again what was never written", () => {
  const alice = userAccount({ name: "alice" });
  assert.equal(inherit(alice, { name: "bob" }).home, "/home/bob");
  assert.equal(inherit(userAccount({ name: "alice", home: "/srv/a" }), { name: "bob" }).home, "/srv/a");
  assert.equal(inherit(channel({ suite: "trixie" }), { suite: "sid" }).security, false);
  assert.equal(inherit(alice, { uid: 5000 }).uid, 5000);
});

test("records remember where they were written and what they inherit from", () => {
  const base = grub({});
  const changed = inherit(base, { timeout: 3 });
  const here = locationOf(base);
  const there = factsOf(changed);
  assert.match(here?.file ?? "", /inherit\.test\.ts$/);
  assert.equal(there?.where?.line, here!.line + 1);
  assert.deepEqual(there?.inheritedFrom, here);
  assert.match(locationOf(host("10.0.0.1", "a"))?.file ?? "", /inherit\.test\.ts$/);
  assert.deepEqual(Object.keys(base), ["targets", "timeout"]);
  assert.deepEqual(Object.getOwnPropertySymbols({ ...base }), []);
});

test("inherit refuses what is no record", () => {
  assert.throws(() => inherit({ ...root }, {}), { code: "not-a-record" });
  assert.throws(() => inherit(undefined as unknown as object, {}), { code: "not-a-record" });
  assert.throws(() => grub(3 as never), { code: "not-a-record" });
});

test("pipe applies functions from left to right", () => {
  const add = (word: string) => (value: string) => value + word;
  assert.equal(pipe("a", add("b"), add("c")), "abc");
  assert.equal(pipe("a"), "a");
});

test("problems carry the path of the field and the place of the record", () => {
  const wrong = fileSystem({ device: "/dev/sda" as never, mountPoint: "srv", type: "ext5" as never });
  const os = operatingSystem({ hostName: "a", fileSystems: [root, wrong], hostNam: "x" } as never);
  const problems = recordProblems(os);
  assert.deepEqual(
    problems.map(({ code, field }) => [code, field]),
    [
      ["unknown-field", "hostNam"],
      ["wrong-type", "fileSystems[1].device"],
      ["wrong-path", "fileSystems[1].mountPoint"],
      ["wrong-value", "fileSystems[1].type"],
    ],
  );
  assert.equal(problems[0]?.hint, "did you mean hostName?");
  assert.equal(problems[1]?.hint, 'write devicePath("/dev/sda")');
  assert.equal(problems[3]?.hint, "did you mean ext2 or ext3 or ext4?");
  assert.deepEqual(problems[1]?.where, locationOf(wrong));
});

test("a list inside a list is told with the remedy", () => {
  const os = operatingSystem({ hostName: "a", fileSystems: [[root]] as never });
  const [problem] = recordProblems(os);
  assert.equal(problem?.field, "fileSystems[0]");
  assert.match(problem?.hint ?? "", /three dots/);
});

test("a mistake in a template is told there, and where it is inherited", () => {
  const template = operatingSystem({ hostName: "t", fileSystems: [root], timezone: "Mars Base" });
  const machine = inherit(inherit(template, { hostName: "a" }), { hostName: "-" });
  const [hostName, timezone] = recordProblems(machine);
  assert.deepEqual([hostName?.field, hostName?.where, hostName?.also], ["hostName", locationOf(machine), undefined]);
  assert.deepEqual(
    [timezone?.field, timezone?.where, timezone?.also],
    ["timezone", locationOf(template), locationOf(machine)],
  );
});
