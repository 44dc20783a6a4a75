import { createInterface } from "node:readline/promises";
import { failure } from "../base/error.ts";
import type { CommandContext } from "./command.ts";

/**
 * Asks a person whether to go on, unless `--yes` was said.
 * @throws MesoError `usage` where nobody can answer.
 */
export async function confirm({ options, json }: CommandContext, question = "Go on?"): Promise<boolean> {
  if (options.yes) return true;
  if (json || !process.stdin.isTTY || !process.stderr.isTTY) {
    throw failure("usage", "nobody can be asked here whether to go on", { hint: "say --yes" });
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim());
  } finally {
    terminal.close();
  }
}
