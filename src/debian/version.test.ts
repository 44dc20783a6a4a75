import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import fc from "fast-check";
import { MesoError } from "../base/error.ts";
import { compareVersions, parseVersion, satisfiesConstraint } from "./version.ts";

/** Pieces that meet each other's rules: tildes, leading zeros, signs, long numbers, equal prefixes. */
const piece = fc.constantFrom(
  "0",
  "00",
  "1",
  "01",
  "10",
  "9",
  "~",
  "~~",
  "+",
  ".",
  "a",
  "b",
  "Z",
  "rc",
  "4294967296",
  "deb12u1",
);
const upstream = fc
  .array(piece, { maxLength: 5 })
  .map((parts) => `${["1", "0", "2"][parts.length % 3]}${parts.join("")}`);
const revision = fc.option(
  fc.array(piece, { minLength: 1, maxLength: 4 }).map((parts) => `-${parts.join("")}`),
  { nil: "" },
);
const epoch = fc.constantFrom("", "", "", "0:", "1:", "01:", "12:");
const version = fc.tuple(epoch, upstream, fc.constantFrom("", "", "-2", "-x"), revision).map((parts) => parts.join(""));
/** The second version of a pair is often a small change of the first. */
const pair = fc.oneof(
  fc.tuple(version, version),
  fc.tuple(version, piece).map(([v, p]) => [v, v + p] as const),
  fc.tuple(epoch, epoch, upstream, revision, revision).map(([e, f, u, r, s]) => [e + u + r, f + u + s] as const),
);

test("compareVersions agrees with dpkg --compare-versions", () => {
  fc.assert(
    fc.property(fc.array(pair, { minLength: 60, maxLength: 60 }), (pairs) => {
      assert.deepEqual(
        pairs.map(([a, b]) => sign(compareVersions(a, b))),
        dpkgOrders(pairs),
      );
    }),
    { numRuns: 8, seed: 5612, endOnFailure: true },
  );
});

test("compareVersions is a total order on versions", () => {
  fc.assert(
    fc.property(version, version, version, (a, b, c) => {
      assert.equal(sign(compareVersions(a, b)), -sign(compareVersions(b, a)) + 0);
      if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0) assert.ok(compareVersions(a, c) <= 0);
    }),
  );
});

test("the order that Debian Policy gives as an example", () => {
  const inOrder = ["~~", "~~a", "~", "", "a"].map((suffix) => `1${suffix}`);
  for (const [i, low] of inOrder.entries()) {
    for (const high of inOrder.slice(i + 1)) assert.ok(compareVersions(low, high) < 0, `${low} < ${high}`);
  }
});

test("parseVersion accepts and refuses what dpkg --validate-version does", () => {
  const samples = [
    "1",
    "1.0-1",
    "1:1.0-1",
    "1:2:3-4",
    "1-2-3",
    "1.0~rc1+b2",
    "",
    ":1",
    "1:",
    "a:1",
    "-1",
    "1-",
    "a1",
    "1_0",
    "1.0-1_2",
    "1 0",
    "2147483647:1",
    "2147483648:1",
    "99999999999999999999:1",
    "1.0-é",
    "1.0\u0000",
    "~1",
    "1:-1",
    "0:0-0",
    "1.0-a:b",
  ];
  for (const text of samples.filter((sample) => !sample.includes("\u0000"))) {
    assert.equal(accepted(text), dpkgAccepts(text), JSON.stringify(text));
  }
  assert.equal(accepted("1.0\u0000"), false);
  assert.deepEqual(parseVersion("1:2-3-4"), { epoch: 1, upstream: "2-3", revision: "4" });
  assert.deepEqual(parseVersion("2"), { epoch: 0, upstream: "2" });
});

test("constraints", () => {
  const holds = (operator: "<<" | "<=" | "=" | ">=" | ">>") =>
    ["1.0", "1.1", "1.2"].map((v) => satisfiesConstraint(v, { operator, version: "1.1" }));
  assert.deepEqual(holds("<<"), [true, false, false]);
  assert.deepEqual(holds("<="), [true, true, false]);
  assert.deepEqual(holds("="), [false, true, false]);
  assert.deepEqual(holds(">="), [false, true, true]);
  assert.deepEqual(holds(">>"), [false, false, true]);
  assert.ok(satisfiesConstraint("1", undefined));
});

function dpkgOrders(pairs: readonly (readonly [string, string])[]): number[] {
  const script = pairs.map(
    ([a, b]) =>
      `if dpkg --compare-versions '${a}' lt '${b}'; then echo -1; elif dpkg --compare-versions '${a}' eq '${b}'; then echo 0; else echo 1; fi`,
  );
  const out = execFileSync("sh", ["-c", script.join("\n")], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  return out.trim().split("\n").map(Number);
}

function dpkgAccepts(text: string): boolean {
  try {
    execFileSync("dpkg", ["--validate-version", text], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

function accepted(text: string): boolean {
  try {
    parseVersion(text);
    return true;
  } catch (error) {
    assert.ok(error instanceof MesoError && error.code === "bad-version");
    return false;
  }
}

function sign(n: number): number {
  return n < 0 ? -1 : n > 0 ? 1 : 0;
}
