import { failure } from "../base/error.ts";
import { nearestHint } from "../base/nearest.ts";
import { attachFacts } from "../language/record.ts";

/** One step of a build: shell text (bash, stopping at the first failure), run in the source's folder. */
export interface Phase {
  readonly name: string;
  readonly script: string;
}

/** A change of the phases of a build system. */
export interface PhaseChange {
  readonly change: "replace" | "before" | "after" | "remove";
  /** The phase that is changed, or that the new one stands next to. */
  readonly phase: string;
  readonly name: string;
  readonly script: string;
}

/** Another text in place of a phase's own. */
export function replacePhase(phase: string, script: string): PhaseChange {
  return asChange({ change: "replace", phase, name: phase, script });
}

/** A new phase before another one. */
export function beforePhase(phase: string, name: string, script: string): PhaseChange {
  return asChange({ change: "before", phase, name, script });
}

/** A new phase after another one. */
export function afterPhase(phase: string, name: string, script: string): PhaseChange {
  return asChange({ change: "after", phase, name, script });
}

export function removePhase(phase: string): PhaseChange {
  return asChange({ change: "remove", phase, name: phase, script: "" });
}

/**
 * The phases with all changes made, in the order given.
 *
 * @throws MesoError `unknown-phase`.
 */
export function changedPhases(phases: readonly Phase[], changes: readonly PhaseChange[]): readonly Phase[] {
  return changes.reduce((current: readonly Phase[], { change, phase, name, script }) => {
    const at = current.findIndex((one) => one.name === phase);
    if (at < 0) {
      const names = current.map((one) => one.name);
      throw failure("unknown-phase", `there is no phase ${JSON.stringify(phase)}`, {
        field: "phases",
        expected: names.join(", "),
        ...nearestHint(phase, names),
      });
    }
    const fresh = { name, script };
    const middle = { replace: [fresh], before: [fresh, current[at]!], after: [current[at]!, fresh], remove: [] }[
      change
    ];
    return [...current.slice(0, at), ...middle, ...current.slice(at + 1)];
  }, phases);
}

function asChange(value: PhaseChange): PhaseChange {
  return attachFacts(value, { kind: "phase", given: value, fields: {} });
}
