import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { changelogEntries, cvesIn, entriesBetween } from "./changelog.ts";
import { agreesWithDpkg } from "./changelog-oracle.testing.ts";

const entry = (version: string, changes: string, head = "unstable; urgency=medium"): string =>
  `openssl (${version}) ${head}\n\n${changes}\n\n -- Ann Author <ann@example.org>  Sat, 12 Sep 2026 07:55:41 +0000\n\n`;

const two =
  entry("3.0.15-1~deb12u1", "  * CVE-2024-13176 (Timing side-channel).\n    Closes: #1\n\n  [ Other ]\n  * More") +
  entry("3.0.14-1", "  * New upstream version", "unstable testing; urgency=HIGH, binary-only=yes");

test("entries are read as dpkg-parsechangelog reads them", () => {
  agreesWithDpkg(two);
  agreesWithDpkg(two.trimEnd());
  agreesWithDpkg(`${two}Local variables:\nmode: debian-changelog\nEnd:\n`);
  agreesWithDpkg(`${two}# Older entries have been removed from this changelog.\n`);
  agreesWithDpkg(`${two}Old Changelog:\n  * It was made\n`);
  agreesWithDpkg(two.replace("2026 07:55:41 +0000\n", "2026 07:55:41 +0000\n\n\n"));
  agreesWithDpkg(two.replaceAll("urgency=medium", "Urgency=low (HIGH for users of x)"));
  agreesWithDpkg(two.replaceAll("\n", " \n"));
  agreesWithDpkg(entry("1:2.0+really1.9~rc1-1.1", "  * Übersetzung\n  * tabs\n\tand continued"));
});

test("all of an entry is told", () => {
  const [first, second, ...more] = changelogEntries(two);
  assert.deepEqual(first, {
    package: "openssl",
    version: "3.0.15-1~deb12u1",
    distributions: ["unstable"],
    urgency: "medium",
    maintainer: "Ann Author <ann@example.org>",
    date: "Sat, 12 Sep 2026 07:55:41 +0000",
    changes: "  * CVE-2024-13176 (Timing side-channel).\n    Closes: #1\n\n  [ Other ]\n  * More",
  });
  assert.deepEqual([second?.distributions, second?.urgency, more], [["unstable", "testing"], "high", []]);
});

test("what is no entry is passed over, whatever it is", () => {
  const unfinished = "openssl (4) UNRELEASED; urgency=low\n\n  * Begun\n";
  const versions = (text: string) => [...changelogEntries(text)].map(({ version }) => version);
  assert.deepEqual(versions(unfinished + two), ["4", "3.0.15-1~deb12u1", "3.0.14-1"]);
  assert.deepEqual(versions(`  * of nobody\n${two}`), ["3.0.15-1~deb12u1", "3.0.14-1"]);
  assert.deepEqual(versions(entry("none", "  * x") + two), ["3.0.15-1~deb12u1", "3.0.14-1"]);
  assert.deepEqual(versions("\0\xff\n".repeat(1000)), []);
  assert.deepEqual(versions(`x (1) ${"a".repeat(1e6)}`), []);
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...two.split("\n"), "x (1) y; z", " -- ", "\t", "--"), { maxLength: 30 }),
      (lines) => {
        for (const one of changelogEntries(lines.join("\n")))
          assert.ok(one.version !== "" && !one.changes.startsWith("\n"));
      },
    ),
  );
});

test("hostile lines take no time", () => {
  const started = performance.now();
  for (const line of [
    `x (1)${" a".repeat(1e6)}`,
    ` -- ${"<".repeat(1e6)}`,
    ` -- ${"> ".repeat(1e6)}`,
    " ".repeat(1e7),
  ]) {
    assert.equal([...changelogEntries(`${entry("1", "  * a").slice(0, -80)}\n${line}\n`)].length, 1);
  }
  assert.ok(performance.now() - started < 2000);
});

test("the entries between two versions are those that an update brings", () => {
  const text = ["3-1", "2.1-1", "2-1+deb1u2", "2-1+deb1u1", "2-1", "1-1"]
    .map((one) => entry(one, `  * ${one}`))
    .join("");
  const between = (from: string, to: string) => entriesBetween(text, from, to).map(({ version }) => version);
  assert.deepEqual(between("2-1", "2-1+deb1u2"), ["2-1+deb1u2", "2-1+deb1u1"]);
  assert.deepEqual(between("2-1+deb1u1", "3-1"), ["3-1", "2.1-1", "2-1+deb1u2"]);
  assert.deepEqual(between("2-1+deb1u1~x", "2-1+deb1u1"), ["2-1+deb1u1"], "a version that the changelog does not have");
  assert.deepEqual(between("3-1", "3-1"), []);
  const reverted = entry("2-1", "  * again") + entry("3-1", "  * too early") + entry("1-1", "  * first");
  assert.deepEqual(entriesBetween(reverted, "2-1", "3-2"), [], "what lies below a version is in it");
});

test("CVE numbers are found, each once, in their order", () => {
  const text =
    "CVE-2024-10000, (CVE-2024-9999) CVE-2023-1234/CVE-2024-9999; CVE-2021-12 XCVE-2020-1111 CVE-2024-1234567.";
  assert.deepEqual(cvesIn(text), ["CVE-2023-1234", "CVE-2024-9999", "CVE-2024-10000", "CVE-2024-1234567"]);
  assert.deepEqual(cvesIn(""), []);
});
