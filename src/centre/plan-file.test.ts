import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { smallCentre } from "../simulation/small-centre.testing.ts";
import { checkPlanFits, readPlan, writePlan } from "./plan-file.ts";

test("a kept plan is read as it was written; cut short, edited or of an older program it is refused", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "meso-plan-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "plan.json");
  const plan = await smallCentre({ one: {} }).plan();
  writePlan(plan, file);
  assert.deepEqual(readPlan(file), JSON.parse(JSON.stringify(plan)));
  const text = readFileSync(file, "utf8");
  for (const bad of [
    "",
    "null",
    "[]",
    text.slice(0, 300),
    text.replace('"takeBack": "machine"', '"takeBack": "wave"'),
  ]) {
    writeFileSync(file, bad);
    assert.throws(() => readPlan(file), { code: "bad-plan" }, bad.slice(0, 40));
  }
  assert.throws(() => readPlan(join(folder, "absent.json")), { code: "no-plan" });
});

test("a plan that cannot be kept is one message, and leaves nothing", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "meso-plan-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const plan = await smallCentre({ one: {} }).plan();
  assert.throws(() => writePlan(plan, join(folder, "absent", "plan.json")), { code: "cannot-write" });
  // A folder in the place of the file: the rename fails, after the file aside was written.
  mkdirSync(join(folder, "taken"));
  assert.throws(() => writePlan(plan, join(folder, "taken")), { code: "cannot-write" });
  assert.deepEqual(readdirSync(folder), ["taken"]);
});

test("a plan is only carried out for the centre and the systems that it was made for", async () => {
  const centre = smallCentre({ one: {}, two: {} });
  const plan = await centre.plan();
  const desired = { name: plan.centre, machines: plan.machines.map(({ machine }) => machine) };
  checkPlanFits(plan, desired);
  assert.throws(() => checkPlanFits(plan, { ...desired, name: "another" }), { code: "other-centre" });
  const edited = desired.machines.map((one) => (one.path === "two" ? { ...one, systemHash: "f".repeat(64) } : one));
  assert.throws(() => checkPlanFits(plan, { ...desired, machines: edited }), { code: "old-plan", message: /: two\b/ });
  assert.throws(() => checkPlanFits(plan, { ...desired, machines: edited.slice(1) }), { code: "old-plan" });
});
