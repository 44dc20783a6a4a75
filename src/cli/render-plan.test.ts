import assert from "node:assert/strict";
import { test } from "node:test";
import { smallCentre } from "../simulation/small-centre.testing.ts";
import { renderPlan } from "./render-plan.ts";

const quiet = { verbose: false };

test("a plan tells what is made, what waits for what, and that nothing is left afterwards", async () => {
  const centre = smallCentre(
    { gate: { wave: 0 }, one: { group: "web" }, two: { group: "web" } },
    { groups: { web: 1 } },
  );
  const first = await centre.plan();
  const lines = renderPlan(first, new Map(), quiet);
  assert.match(lines[0]!, /^\+ gate {2}will be made: [0-9a-f]{8}/);
  assert.ok(lines.includes("    waits for the waves before: gate"), lines.join("\n"));
  assert.match(lines.at(-1)!, /^plan [0-9a-f]{12}: 3 machines in 2 waves$/);
  assert.deepEqual(
    lines.filter((line) => /^[+~=]/.test(line)).map((line) => line.split(" ")[1]),
    ["gate", "one", "two"],
    "in the order in which they are begun",
  );
  await centre.deploy();
  const last = renderPlan(await centre.plan(), new Map(), quiet);
  assert.deepEqual(last.slice(0, -1), ["= 3 machines are as declared"]);
  assert.match(last.at(-1)!, /: nothing to do$/);
});

test("machines in which the same things change are told together; steps only when asked for", async () => {
  const centre = smallCentre({ one: {}, two: {}, three: {} });
  await centre.deploy();
  for (const path of ["one", "two", "three"]) centre.change(path, { systemHash: path.padEnd(64, "0") });
  const plan = await centre.plan();
  const same = ["2 files", "files:"];
  const differences = new Map([
    ["one", same],
    ["two", same],
    ["three", ["1 file"]],
  ]);
  const estimate = { shared: 1_500_000, own: 6e6, images: 3, isKnown: false };
  const text = renderPlan(plan, differences, { ...quiet, estimate }).join("\n");
  assert.equal(text.split("    2 files").length - 1, 1, text);
  assert.match(text, /~ one .*\n(.+\n)*~ two .*\n(.+\n)* {4}2 files\n {4}files:\n\n/);
  assert.match(text, /\nwrites about 1\.5 MB that images share, 6\.0 MB of 3 images alone\n/);
  assert.doesNotMatch(text, /1\. publish/);
  assert.match(renderPlan(plan, differences, { verbose: true }).join("\n"), / 1\. publish VMroot_one_/);
});

test("what is not ours is told, and left alone", async () => {
  const centre = smallCentre({ one: {} });
  await centre.deploy();
  const { slots } = centre.machine("one");
  for (const [slot, disk] of slots) slots.set(slot, { ...disk, volume: "somebody-elses-disk" });
  const lines = renderPlan(await centre.plan(), new Map(), quiet);
  assert.match(lines[0]!, /^! one {2}is not ours: nothing is done/);
  assert.match(lines[1]!, /^ {4}because its scsi0 holds somebody-elses-disk, which is not in the pool$/);
  assert.match(lines.at(-1)!, /: nothing to do, 1 machine left alone$/);
});
