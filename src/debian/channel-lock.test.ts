import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { MesoError } from "../base/error.ts";
import type { LockedSuite } from "./channel-lock.ts";
import { channelIdentity, formatLock, parseLock, readLock, withSuites, writeLock } from "./channel-lock.ts";
import { scratchFolder } from "./mirror-server.testing.ts";

const index = (component: string, architecture: string, text = "1") => ({
  component,
  architecture,
  path: `${component}/binary-${architecture}/Packages.xz`,
  sha256: "a".repeat(64),
  size: 10,
  text: { sha256: text.repeat(64), size: 100 },
});

const suite = (name: string, indices = [index("main", "amd64"), index("contrib", "amd64")]): LockedSuite => ({
  archive: name.endsWith("-security") ? "security" : "main",
  suite: name,
  codename: name,
  date: "2026-09-12T07:55:41.000Z",
  release: "b".repeat(64),
  byHash: true,
  indices,
});

test("a lock is read as it was written, and its bytes do not depend on order", () => {
  using folder = scratchFolder();
  const file = join(folder.path, "meso.lock");
  assert.equal(readLock(file), undefined);
  const lock = withSuites(undefined, [suite("trixie-security"), suite("trixie")]);
  writeLock(file, lock);
  assert.deepEqual(readLock(file), lock);
  assert.deepEqual(readdirSync(folder.path), ["meso.lock"]);
  const turned = suite("trixie", [index("contrib", "amd64"), index("main", "amd64")]);
  const other = withSuites(withSuites(undefined, [turned]), [suite("trixie-security")]);
  assert.equal(formatLock(other), readFileSync(file, "utf8"));
  const names = [...readFileSync(file, "utf8").matchAll(/^ {6}"(\w+)":/gm)].map((match) => match[1]!).slice(0, 7);
  assert.deepEqual(names, [...names].sort());
});

test("a pull replaces its own suites and leaves the others", () => {
  const lock = withSuites(undefined, [suite("trixie"), suite("bookworm")]);
  const newer = { ...suite("trixie"), date: "2026-10-01T00:00:00.000Z" };
  const updated = withSuites(lock, [newer]);
  assert.deepEqual(
    updated.suites.map((entry) => `${entry.suite} ${entry.date.slice(0, 10)}`),
    ["bookworm 2026-09-12", "trixie 2026-10-01"],
  );
});

test("the identity follows contents, not signatures, dates, compression or order", () => {
  const identity = channelIdentity([suite("trixie"), suite("trixie-updates")]);
  const same = { ...suite("trixie"), date: "2027-01-01T00:00:00.000Z", release: "c".repeat(64) };
  const packed = { ...index("main", "amd64"), path: "main/binary-amd64/Packages.gz", sha256: "d".repeat(64) };
  const turned = { ...same, indices: [index("contrib", "amd64"), packed] };
  assert.equal(channelIdentity([suite("trixie-updates"), turned]), identity);
  const changed = suite("trixie", [index("main", "amd64", "2"), index("contrib", "amd64")]);
  assert.notEqual(channelIdentity([changed, suite("trixie-updates")]), identity);
  assert.notEqual(channelIdentity([suite("trixie")]), identity);
});

const whole = formatLock(withSuites(undefined, [suite("trixie")]));
const broken: Record<string, [string, string]> = {
  "newer format": [whole.replace('"formatVersion": 1', '"formatVersion": 2'), "lock-version"],
  "no format": [whole.replace('"formatVersion": 1,', ""), "bad-lock"],
  "short hash": [whole.replace("a".repeat(64), "a".repeat(63)), "bad-lock"],
  "climbing path": [whole.replace("main/binary-amd64/Packages.xz", "../../Packages.xz"), "bad-lock"],
  "another file": [whole.replace("main/binary-amd64/Packages.xz", "main/binary-amd64/Release"), "bad-lock"],
  "climbing suite": [whole.replace('"suite": "trixie"', '"suite": "../x"'), "bad-lock"],
  "negative size": [whole.replace('"size": 10', '"size": -10'), "bad-lock"],
  "size as text": [whole.replace('"size": 10', '"size": "10"'), "bad-lock"],
  "unknown archive": [whole.replace('"archive": "main"', '"archive": "ports"'), "bad-lock"],
  "unknown member": [whole.replace('"byHash"', '"extra": 1, "byHash"'), "bad-lock"],
  "prototype member": [whole.replace('"byHash"', '"__proto__": {}, "byHash"'), "bad-lock"],
  "suite twice": [formatLock({ formatVersion: 1, suites: [suite("trixie"), suite("trixie")] }), "bad-lock"],
  "a list": ["[]", "bad-lock"],
  null: ["null", "bad-lock"],
  empty: ["", "bad-lock"],
  "conflict marks": [`<<<<<<< HEAD\n${whole}`, "bad-lock"],
};
for (const [name, [text, code]] of Object.entries(broken)) {
  test(`a lock that is wrong gives one clear error: ${name}`, () => {
    using folder = scratchFolder();
    const file = join(folder.path, "meso.lock");
    writeFileSync(file, text);
    assert.throws(
      () => readLock(file),
      (error: MesoError) => {
        assert.equal(error.code, code);
        assert.equal(error.problems.length, 1);
        assert.ok(error.message.includes(file) && error.problems[0]!.hint);
        return true;
      },
    );
  });
}

test("the field of a mistake is named", () => {
  const text = whole.replace('"size": 10,', '"size": null,');
  assert.throws(
    () => parseLock(text, "meso.lock"),
    (error: MesoError) => error.problems[0]!.field === "suites[0].indices[0].size",
  );
});

test("a lock cut anywhere is refused", () => {
  for (let length = 0; length < whole.trimEnd().length; length += 11) {
    assert.throws(
      () => parseLock(whole.slice(0, length), "meso.lock"),
      (error: MesoError) => error.code === "bad-lock",
    );
  }
});
