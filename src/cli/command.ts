import type { Report } from "../base/progress.ts";

/** One option of a command, as `--help` shows it and as the parser takes it. */
export interface OptionSpec {
  readonly type: "string" | "boolean";
  readonly short?: string;
  /** What stands for the value in the help: `FILE`. */
  readonly placeholder?: string;
  readonly multiple?: boolean;
  readonly description: string;
}

export interface CommandContext {
  readonly positionals: readonly string[];
  readonly options: Readonly<Record<string, string | boolean | readonly string[] | undefined>>;
  /** Results go to standard output through this; progress and errors go to standard error. */
  readonly print: (text: string) => void;
  readonly report: Report;
  readonly json: boolean;
  readonly verbose: boolean;
  /** Aborted by Ctrl-C: every long step watches it and leaves nothing behind. */
  readonly signal: AbortSignal;
}

/** What a verb of the command line takes and does; its name is in `commands.ts`. `run` returns the exit code, 0 when it returns nothing. */
export interface Command {
  /** As in the usage line: `FILE`, `TERM…`. */
  readonly positionals: string;
  readonly minimumPositionals: number;
  readonly maximumPositionals: number;
  readonly options: Readonly<Record<string, OptionSpec>>;
  readonly examples: readonly string[];
  readonly details?: string;
  readonly run: (context: CommandContext) => Promise<number | undefined>;
}

export const exitCodes = { success: 0, failure: 1, usage: 2, interrupted: 130 } as const;

/** Options that every command takes. */
export const commonOptions = {
  json: { type: "boolean", description: "print the result as JSON" },
  verbose: { type: "boolean", short: "v", description: "tell more: each step, origins, places in files" },
  help: { type: "boolean", short: "h", description: "show this help" },
  store: { type: "string", placeholder: "DIR", description: "where archives, segments and items are kept" },
} as const satisfies Readonly<Record<string, OptionSpec>>;

/** Options of the commands that evaluate a machine's program. */
export const programOptions = {
  lock: {
    type: "string",
    placeholder: "FILE",
    description: "the lock to use (default: meso.lock beside FILE or above)",
  },
  "dry-run": { type: "boolean", short: "n", description: "say what would be fetched and built, with sizes, and stop" },
} as const satisfies Readonly<Record<string, OptionSpec>>;
