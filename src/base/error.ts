import type { SourceLocation } from "./location.ts";
import { formatLocation } from "./location.ts";

/**
 * One mistake a person made, in parts, so that terminals, `--json` and tests read the same thing.
 * `what` starts with what was found; `expected` says what would have been right; `hint` what to do.
 */
export interface Problem {
  /** Stable, kebab-case, for scripts: `unknown-package`. */
  readonly code: string;
  readonly what: string;
  /** The field of the record, as a person writes it: `fileSystems[1].mountPoint`. */
  readonly field?: string;
  readonly where?: SourceLocation;
  /** A second culprit: the other of two records that collide. */
  readonly also?: SourceLocation;
  readonly expected?: string;
  readonly hint?: string;
}

/**
 * A failure that a person can mend. The command line prints its problems without a stack trace;
 * anything else that is thrown is a bug of ours and keeps its stack.
 */
export class MesoError extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: Problem | readonly Problem[], options?: { cause?: unknown }) {
    const list = Array.isArray(problems) ? (problems as readonly Problem[]) : [problems as Problem];
    super(list.map((problem) => formatProblem(problem)).join("\n"), options);
    this.name = "MesoError";
    this.problems = list;
  }

  get code(): string {
    return this.problems[0]?.code ?? "error";
  }
}

/** Shorthand for the common case of one problem without a source location. */
export function failure(
  code: string,
  what: string,
  more: Omit<Problem, "code" | "what"> = {},
  cause?: unknown,
): MesoError {
  return new MesoError({ code, what, ...more }, cause === undefined ? undefined : { cause });
}

/** The problem as lines of plain text: place (relative to `folder` where it lies below), field, what, expected, hint. */
export function formatProblem(problem: Problem, folder?: string): string {
  const place = problem.where ? `${formatLocation(problem.where, folder)}: ` : "";
  const field = problem.field ? `${problem.field}: ` : "";
  const lines = [`${place}${field}${problem.what}`];
  if (problem.also) lines.push(`  also: ${formatLocation(problem.also, folder)}`);
  if (problem.expected) lines.push(`  expected: ${problem.expected}`);
  if (problem.hint) lines.push(`  hint: ${problem.hint}`);
  return lines.join("\n");
}

/** States what a programmer relies on; failing is a bug in this project, never a person's mistake. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}
