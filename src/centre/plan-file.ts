import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { failure } from "../base/error.ts";
import { hashOf } from "../base/hash.ts";
import type { DesiredCentre } from "./desired.ts";
import { changingMachines, type Plan } from "./plan.ts";

/**
 * Keeps a plan for `meso deploy --plan FILE`: written aside and renamed.
 *
 * @throws MesoError `cannot-write` where no file can be made there.
 */
export function writePlan(plan: Plan, file: string): void {
  const aside = `${file}.${process.pid}.part`;
  try {
    writeFileSync(aside, `${JSON.stringify(plan, undefined, 2)}\n`, { mode: 0o600 });
    renameSync(aside, file);
  } catch (error) {
    rmSync(aside, { force: true });
    throw failure("cannot-write", `${file} cannot be written (${(error as NodeJS.ErrnoException).code})`);
  }
}

/**
 * A plan that was kept, exactly as it was shown: its hash covers every step.
 *
 * @throws MesoError `no-plan` for a file that is not there, `bad-plan` for one that is no plan or was changed.
 */
export function readPlan(file: string): Plan {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") throw failure("no-plan", `${file}: no such file`);
    throw failure("bad-plan", `${file} is no plan`, { expected: "what meso plan -o FILE has written" });
  }
  const { hash, ...content } = (value ?? {}) as Partial<Plan>;
  if (content.formatVersion !== 1 || typeof hash !== "string" || hashOf(content) !== hash) {
    throw failure("bad-plan", `${file} is no plan, or was changed after it was written`, {
      hint: "make it anew: meso plan -o FILE",
    });
  }
  return value as Plan;
}

/**
 * Holds a kept plan against the program of today: images are built from the program, so what the plan would publish has
 * to be what the program says, or an image would hold another system than its name and metadata tell.
 *
 * @throws MesoError `other-centre` for a plan of another centre, `old-plan` when the program has changed since.
 */
export function checkPlanFits(plan: Plan, { name, machines }: Pick<DesiredCentre, "name" | "machines">): void {
  if (plan.centre !== name) {
    throw failure("other-centre", `the plan is of the centre ${plan.centre}`, { expected: `a plan of ${name}` });
  }
  const declared = new Map(machines.map(({ path, systemHash }) => [path, systemHash]));
  const changed = changingMachines(plan)
    .filter(({ path, machine, steps }) => {
      const publishes = steps.some(({ kind }) => kind === "publish");
      return publishes && declared.get(path) !== machine.systemHash;
    })
    .map(({ path }) => path);
  if (changed.length === 0) return;
  throw failure("old-plan", `the program has changed since the plan was made: ${changed.join(", ")}`, {
    hint: "make it anew: meso plan -o FILE",
  });
}
