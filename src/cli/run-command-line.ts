import { formatProblem, MesoError } from "../base/error.ts";
import { hearSignals } from "../base/hear-signals.ts";
import { findCommand, parseArguments } from "./arguments.ts";
import { exitCodes } from "./command.ts";
import { type CommandName, commandNames } from "./commands.ts";
import { commandHelp, overview } from "./help.ts";
import { createReporter } from "./reporter.ts";

/** Runs one command line and gives the exit code. A person's mistake is printed as its problems, without a stack. */
export async function runCommandLine(words: readonly string[]): Promise<number> {
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort();
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  try {
    return await dispatch(words, interrupted.signal);
  } catch (error) {
    // A terminal interrupts our child processes too: that one of them failed may be heard of before the signal is.
    await hearSignals();
    if (interrupted.signal.aborted) {
      process.stderr.write("interrupted\n");
      return exitCodes.interrupted;
    }
    if (error instanceof MesoError) return printProblems(error, words.includes("--json"));
    throw error;
  } finally {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
}

async function dispatch(words: readonly string[], signal: AbortSignal): Promise<number> {
  const first = words[0];
  if (first === undefined || first === "--help" || first === "-h" || first === "help") {
    process.stdout.write(`${overview(commandNames)}\n`);
    return first === undefined ? exitCodes.usage : exitCodes.success;
  }
  if (first === "--version") {
    const { programVersion } = await import("../base/version.ts");
    process.stdout.write(`${programVersion()}\n`);
    return exitCodes.success;
  }
  const { command, rest } = findCommand(commandNames, words);
  return await runCommand(command, rest, signal);
}

async function runCommand(name: CommandName, rest: readonly string[], signal: AbortSignal): Promise<number> {
  const command = await name.load();
  const { options, positionals } = parseArguments(name.words.join(" "), command, rest);
  if (options.help) {
    process.stdout.write(`${commandHelp(name, command)}\n`);
    return exitCodes.success;
  }
  const verbose = options.verbose === true;
  const { report, clear } = createReporter(process.stderr, { verbose });
  try {
    const code = await command.run({
      options,
      positionals,
      print: (text) => process.stdout.write(`${text}\n`),
      report,
      json: options.json === true,
      verbose,
      signal,
    });
    return code ?? exitCodes.success;
  } finally {
    clear();
  }
}

function printProblems(error: MesoError, json: boolean): number {
  if (json) {
    process.stdout.write(`${JSON.stringify({ problems: error.problems }, undefined, 2)}\n`);
  } else {
    const count = error.problems.length;
    const heading = count > 1 ? `${count} problems:\n\n` : "";
    const text = error.problems
      .map((problem) => `${formatProblem(problem, process.cwd())} [${problem.code}]`)
      .join("\n\n");
    process.stderr.write(`${heading}${text}\n`);
  }
  return error.code === "usage" ? exitCodes.usage : exitCodes.failure;
}
