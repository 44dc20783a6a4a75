import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { failure } from "../base/error.ts";
import { hashOf } from "../base/hash.ts";
import type { Plan } from "./plan.ts";

/** Keeps a plan for `meso deploy --plan FILE`: written aside and renamed. */
export function writePlan(plan: Plan, file: string): void {
  const aside = `${file}.${process.pid}.part`;
  writeFileSync(aside, `${JSON.stringify(plan, undefined, 2)}\n`, { mode: 0o600 });
  renameSync(aside, file);
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
