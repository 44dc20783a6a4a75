import assert from "node:assert/strict";
import { test } from "node:test";
import type { Centre } from "../language/centre.ts";
import { selectMachine, selectMachines } from "./select-machines.ts";

const paths = {
  "slurm/ctld": undefined,
  "slurm/worker-1": "workers",
  "slurm/rack/worker-2": "workers",
  gate: undefined,
};
const machines = Object.fromEntries(Object.entries(paths).map(([path, group]) => [path, { group }]));
const centre = { machines: machines as unknown as Centre["machines"] };

test("paths, patterns and groups select machines, sorted, once", () => {
  assert.deepEqual(selectMachines(centre, []), ["gate", "slurm/ctld", "slurm/rack/worker-2", "slurm/worker-1"]);
  assert.deepEqual(selectMachines(centre, ["slurm/*"]), ["slurm/ctld", "slurm/worker-1"]);
  assert.deepEqual(selectMachines(centre, ["slurm/**"]), ["slurm/ctld", "slurm/rack/worker-2", "slurm/worker-1"]);
  assert.deepEqual(selectMachines(centre, ["@workers", "slurm/w*", "gate"]), [
    "gate",
    "slurm/rack/worker-2",
    "slurm/worker-1",
  ]);
  assert.deepEqual(selectMachines(centre, ["slurm/ct.d".replace(".", "l")]), ["slurm/ctld"]);
});

test("a word that selects nothing is told with what is near", () => {
  assert.throws(() => selectMachines(centre, ["slurm/ctl"]), /did you mean slurm\/ctld/);
  assert.throws(() => selectMachines(centre, ["slurm/ct.d"]), { code: "no-such-machine" });
  assert.throws(() => selectMachines(centre, ["@worker"]), /did you mean @workers/);
  assert.throws(() => selectMachine(centre, "slurm/*"), { code: "usage" });
  assert.equal(selectMachine(centre, "gate"), "gate");
  assert.throws(() => selectMachines(centre, ["site.ts"]), /--centre site\.ts/);
});
