import type { ImageName } from "../pools/pool.ts";

/** What became of one machine. */
export type MachineResult =
  /** As the plan said. */
  | "done"
  /** Its candidate failed the checks of its trial; the machine was not touched. */
  | "rejected"
  /** The new root failed, and the old one works again. */
  | "rolled-back"
  /** Nothing was done to it: what it waited for did not come, or something moved. */
  | "held"
  /** Something failed before it was touched; of one that was not there yet: before it was first started. */
  | "failed"
  /** It works, and something is left that the next deployment ends: others do not rely on it again yet. */
  | "unfinished"
  /** It was touched and is not back: a person has to look. The next deployment tries again. */
  | "broken";

export interface MachineOutcome {
  readonly path: string;
  readonly result: MachineResult;
  /** What went wrong, in words; nothing secret. */
  readonly reasons: readonly string[];
  /** Root that it runs now, as far as it is known. */
  readonly root?: ImageName;
  /** Seconds without it, as seen from here. */
  readonly outageSeconds?: number;
  /** Seconds of each kind of step. */
  readonly stepSeconds: Readonly<Record<string, number>>;
}

export type DeployResult = "done" | "nothing-to-do" | "rolled-back" | "partly-done" | "refused";

export interface DeployOutcome {
  readonly result: DeployResult;
  /** Why nothing was begun, or why it was ended early. */
  readonly reasons: readonly string[];
  /** Of machines that the plan had steps for. */
  readonly machines: readonly MachineOutcome[];
  /** Bytes sent to the pool. */
  readonly publishedBytes: number;
  readonly seconds: number;
}

/** What `meso deploy` and `meso roll-back` end with. */
export const deployExitCodes: Readonly<Record<DeployResult, number>> = {
  done: 0,
  "nothing-to-do": 3,
  "rolled-back": 4,
  "partly-done": 5,
  refused: 6,
};

/**
 * The whole, from its parts.
 * `rolled-back`: nothing reached its goal, and every machine that was touched runs what it ran before.
 * `partly-done`: some did and some did not, or a machine is not back. `refused`: no machine was touched.
 * @param stopped machines that the plan itself could do nothing for: foreign or blocked
 */
export function overallResult(machines: readonly MachineOutcome[], stopped: number): DeployResult {
  const count = (...results: MachineResult[]) => machines.filter(({ result }) => results.includes(result)).length;
  if (machines.length === 0) return stopped > 0 ? "refused" : "nothing-to-do";
  if (count("done") === machines.length && stopped === 0) return "done";
  if (count("done", "unfinished", "broken") > 0) return "partly-done";
  return count("rolled-back") > 0 ? "rolled-back" : "refused";
}
