import { createInterface } from "node:readline/promises";
import { failure } from "../base/error.ts";
import type { CommandContext } from "./command.ts";

/**
 * Asks a person whether to go on, unless `--yes` was said.
 * @throws MesoError `usage` where nobody can answer, `interrupted` when the answer is Ctrl-C or SIGTERM.
 */
export async function confirm({ options, json, signal }: CommandContext, question = "Go on?"): Promise<boolean> {
  if (options.yes) return true;
  if (json || !process.stdin.isTTY || !process.stderr.isTTY) {
    throw failure("usage", "nobody can be asked here whether to go on", { hint: "say --yes" });
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  // A terminal in raw mode gives Ctrl-C to its reader, not to the process as a signal: passed on to who waits for one.
  terminal.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `, { signal })).trim());
  } catch (error) {
    if (signal.aborted) throw failure("interrupted", "interrupted");
    // Ctrl-D closes the terminal without an answer, which is no yes.
    if ((error as Error).name === "AbortError") return false;
    throw error;
  } finally {
    terminal.close();
  }
}
