import assert from "node:assert/strict";
import { test } from "node:test";
import { type DeployResult, deployExitCodes, type MachineResult, overallResult } from "./outcome.ts";

const of = (stopped: number, ...results: MachineResult[]): DeployResult =>
  overallResult(
    results.map((result, index) => ({ path: `m${index}`, result, reasons: [], stepSeconds: {} })),
    stopped,
  );

test("exit codes tell results apart, and from those of failures, wrong usage and interruptions", () => {
  assert.deepEqual(deployExitCodes, { done: 0, "nothing-to-do": 3, "rolled-back": 4, "partly-done": 5, refused: 6 });
});

test("the whole is what its machines are", () => {
  assert.equal(of(0), "nothing-to-do");
  assert.equal(of(0, "done", "done"), "done");
  assert.equal(of(0, "rolled-back", "held", "rejected"), "rolled-back");
  for (const untouched of ["held", "failed", "rejected"] as const) {
    assert.equal(of(0, untouched), "refused", untouched);
    assert.equal(of(0, "done", untouched), "partly-done", untouched);
  }
  assert.equal(of(0, "done", "rolled-back"), "partly-done");
});

test("nothing is called done while a machine is left", () => {
  for (const left of ["unfinished", "broken"] as const) {
    assert.equal(of(0, left), "partly-done", left);
    assert.equal(of(0, "rolled-back", left), "partly-done", left);
  }
  assert.equal(of(1), "refused", "the plan could do nothing for it");
  assert.equal(of(1, "done"), "partly-done");
});
