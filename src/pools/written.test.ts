import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { aboutText, parseAbout } from "./about.ts";
import { checkJournalLine, newestLines } from "./journal.ts";
import { isFree, leaseHeld, leaseText, parseLease } from "./lease.ts";
import { plainAbout, publishedAbout } from "./pool-sample.testing.ts";

describe("what is written on an image", () => {
  const full = {
    ...publishedAbout("slurm/ctld", "a".repeat(64)),
    verdict: { passed: false, at: 1, by: "someone", failed: ["sshd does not answer"], checks: 3 },
    forced: "someone",
    intent: "promote",
    shape: "{}",
  };

  it("is read back as it was", () => {
    for (const about of [full, plainAbout("volume"), plainAbout("trial")]) {
      assert.deepEqual(parseAbout(aboutText(about)), about);
    }
  });

  it("is nobody's when it is cut, is of a newer kind, or is something else", () => {
    const text = aboutText(full);
    for (let length = 0; length < text.length; length++) assert.equal(parseAbout(text.slice(0, length)), undefined);
    const wrong = [
      { ...full, formatVersion: 2 },
      { ...full, more: 1 },
      { ...full, role: "king" },
      { ...full, stamp: "2025" },
      { ...full, system: { ...full.system, imageHash: "x" } },
      { ...full, verdict: { ...full.verdict, failed: [1] } },
      null,
      [],
      7,
    ];
    for (const value of wrong) assert.equal(parseAbout(JSON.stringify(value)), undefined, JSON.stringify(value));
  });

  it("is not written in a way that would make the image nobody's", () => {
    assert.throws(() => aboutText({ ...full, stamp: "today" }), /stamp/);
  });
});

describe("a lease", () => {
  const lease = { holder: "ann@here process 1", purpose: "deploy of plan 1", since: 1000, expires: 2000 };
  const other = { ...lease, holder: "bob" };

  it("is free to its holder, and to others when it has run out", () => {
    assert.equal(isFree(undefined, other, 0), true);
    assert.equal(isFree(lease, lease, 1500), true);
    assert.equal(isFree(lease, other, 1999), false);
    assert.equal(isFree(lease, other, 2000), true);
  });

  it("tells who holds it, for how long, what for, and what to do", () => {
    const text = `${leaseHeld(lease, 1630)}`;
    for (const part of ["ann@here process 1", "10 min", "deploy of plan 1", "6 min", "meso unlock"]) {
      assert.ok(text.includes(part), `${part} in ${text}`);
    }
  });

  it("that cannot be read is none", () => {
    assert.deepEqual(parseLease(leaseText(lease)), lease);
    for (const text of ["", "{", "null", "[]", '{"holder":1}', leaseText({ ...lease, expires: -1 })]) {
      assert.equal(parseLease(text), undefined, text);
    }
  });
});

describe("a journal", () => {
  it("takes one JSON object a line", () => {
    assert.equal(checkJournalLine('{"a":1}'), '{"a":1}');
    for (const line of ["", "[]", "1", '{"a":1}\n', '{"a":\n1}', "{"]) {
      assert.throws(() => checkJournalLine(line), /no line of a journal/);
    }
  });

  it("is its newest lines; what was cut short is none", () => {
    const lines = Array.from({ length: 1500 }, (_, i) => `{"i":${i}}`);
    assert.deepEqual(newestLines(`${lines.join("\n")}\n{"cut":`), lines.slice(500));
    assert.deepEqual(newestLines(""), []);
  });
});
