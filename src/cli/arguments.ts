import { parseArgs } from "node:util";
import { failure, type MesoError } from "../base/error.ts";
import { nearestNames } from "../base/nearest.ts";
import { type Command, commonOptions, type OptionSpec } from "./command.ts";
import type { CommandName } from "./commands.ts";

export interface ParsedArguments {
  readonly positionals: readonly string[];
  readonly options: Readonly<Record<string, string | boolean | readonly string[] | undefined>>;
}

/** The command that the first words name, and what is left of the line. */
export function findCommand(
  commands: readonly CommandName[],
  words: readonly string[],
): { command: CommandName; rest: string[] } {
  for (const length of [2, 1]) {
    const command = commands.find(
      (candidate) => candidate.words.length === length && candidate.words.every((word, i) => word === words[i]),
    );
    if (command) return { command, rest: words.slice(length) };
  }
  throw unknownCommand(commands, words);
}

/**
 * Options and positionals of one command's line.
 * @throws MesoError with code `usage` for an unknown option (naming the nearest), a missing value, or a wrong count.
 */
export function parseArguments(name: string, command: Command, rest: readonly string[]): ParsedArguments {
  const specs: Record<string, OptionSpec> = { ...commonOptions, ...command.options };
  const parserOptions = Object.fromEntries(
    Object.entries(specs).map(([name, { type, short, multiple }]) => [
      name,
      { type, ...(short ? { short } : {}), ...(multiple ? { multiple } : {}) },
    ]),
  );
  try {
    const { values, positionals } = parseArgs({ args: [...rest], options: parserOptions, allowPositionals: true });
    if (!values.help) checkCount(name, command, positionals);
    return { options: values as ParsedArguments["options"], positionals };
  } catch (error) {
    if (error instanceof TypeError) throw explain(name, error, Object.keys(specs));
    throw error;
  }
}

function checkCount(name: string, command: Command, positionals: readonly string[]): void {
  if (positionals.length < command.minimumPositionals) {
    throw failure("usage", `meso ${name} needs ${command.positionals}`, { hint: `meso ${command.examples[0]}` });
  }
  if (positionals.length > command.maximumPositionals) {
    const extra = positionals[command.maximumPositionals]!;
    throw failure("usage", `meso ${name} does not take ${JSON.stringify(extra)}`, { hint: `meso ${name} --help` });
  }
}

function explain(name: string, error: TypeError, names: readonly string[]): MesoError {
  const unknown = /Unknown option '(-{1,2})([^']*)'/.exec(error.message);
  if (!unknown) return failure("usage", unfitValue(error.message), { hint: `meso ${name} --help` });
  const [near] = nearestNames(unknown[2]!, names);
  return failure("usage", `meso ${name} has no option ${unknown[1]}${unknown[2]}`, {
    hint: near ? `did you mean --${near}?` : `meso ${name} --help lists them`,
  });
}

/** What Node says of an option that is known: "Option '-o, --output <value>' argument missing". */
function unfitValue(message: string): string {
  const known = /^Option '(?:-\w, )?(--[\w-]+)( <value>)?'/.exec(message);
  if (!known) return message.split(". ")[0]!;
  return `${known[1]} ${known[2] ? "needs a value" : "takes no value"}`;
}

function unknownCommand(commands: readonly CommandName[], words: readonly string[]): MesoError {
  const said = words.slice(0, 2).filter((word) => !word.startsWith("-"));
  const names = commands.map((command) => command.words.join(" "));
  const [near] = [...nearestNames(said.join(" "), names, 1), ...nearestNames(said[0] ?? "", names, 1)];
  const family = names.filter((name) => name.startsWith(`${said[0]} `));
  if (family.length > 0 && !near) {
    return failure("usage", `meso ${said.join(" ")}: no such command`, { expected: family.join(", ") });
  }
  return failure("usage", `meso ${said.join(" ")}: no such command`, {
    hint: near ? `did you mean meso ${near}?` : "meso --help lists them",
  });
}
