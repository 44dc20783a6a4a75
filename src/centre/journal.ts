import { MesoError } from "../base/error.ts";
import type { Hands } from "./hands.ts";
import type { Durations, Plan } from "./plan.ts";
import type { StepKind } from "./steps.ts";

/** A line of the pool's journal. It tells people what happened and when; no decision rests on it. */
export interface JournalEntry {
  /** Seconds since 1970. */
  readonly at: number;
  readonly by: string;
  /** First digits of the plan's hash. */
  readonly plan: string;
  readonly machine?: string;
  /** What was done, how long it took in seconds, and the code of the error that it ended with. */
  readonly done?: string;
  readonly seconds?: number;
  readonly failed?: string;
  /** What is begun now. */
  readonly next?: string;
  /** How it ended: for a machine, or for the whole. */
  readonly result?: string;
}

export interface Journal {
  /** Written before the next step begins. A pool that does not take it stops nobody. */
  readonly write: (entry: Omit<JournalEntry, "at" | "by" | "plan">) => Promise<void>;
}

export function openJournal({ pool, clock, holder, report }: Hands, plan: Plan): Journal {
  let turn: Promise<void> = Promise.resolve();
  return {
    write: (entry) => {
      const line: JournalEntry = { at: Math.floor(clock.now()), by: holder, plan: plan.hash.slice(0, 12), ...entry };
      turn = turn.then(() =>
        pool.appendJournal(JSON.stringify(line)).catch((error: unknown) => {
          const why = error instanceof MesoError ? error.problems[0]!.what : String(error);
          report({ kind: "trouble", text: `the journal could not be written: ${why}` });
        }),
      );
      return turn;
    },
  };
}

/** The lines that can be read: others are somebody else's, or cut off. */
export function parseJournal(lines: readonly string[]): readonly JournalEntry[] {
  return lines.flatMap((line) => {
    try {
      const entry = JSON.parse(line) as JournalEntry;
      return isEntry(entry) ? [entry] : [];
    } catch {
      return [];
    }
  });
}

/** Median seconds of each kind of step that a journal has seen succeed. */
export function measuredDurations(entries: readonly JournalEntry[]): Durations {
  const seconds = new Map<string, number[]>();
  for (const { done, failed, seconds: took } of entries) {
    if (done === undefined || failed !== undefined || took === undefined || took < 0) continue;
    seconds.set(done, [...(seconds.get(done) ?? []), took]);
  }
  return Object.fromEntries(
    [...seconds].map(([kind, all]) => [kind as StepKind, all.sort((a, b) => a - b)[Math.floor(all.length / 2)]!]),
  );
}

function isEntry(entry: unknown): entry is JournalEntry {
  if (typeof entry !== "object" || entry === null) return false;
  const { at, by, plan, seconds, ...words } = entry as Record<string, unknown>;
  return (
    typeof at === "number" &&
    typeof by === "string" &&
    typeof plan === "string" &&
    (seconds === undefined || (typeof seconds === "number" && Number.isFinite(seconds))) &&
    ["machine", "done", "failed", "next", "result"].every(
      (key) => words[key] === undefined || typeof words[key] === "string",
    )
  );
}
