import { runChecks } from "../hypervisors/run-checks.ts";
import type { Hands } from "./hands.ts";

/** The checks of a real machine, through its agent: the executor's `check`. */
export function checkMachine(signal?: AbortSignal): Hands["check"] {
  return async (machine, agent, patience) => {
    const { failed, results } = await runChecks(agent, machine.checks, { ...patience, ...(signal && { signal }) });
    return { failed, checks: results.length };
  };
}
