import { type Command, commonOptions, type OptionSpec } from "./command.ts";
import type { CommandName } from "./commands.ts";

/** What `meso --help` prints. */
export function overview(commands: readonly CommandName[]): string {
  const width = Math.max(...commands.map((command) => command.words.join(" ").length));
  const lines = commands.map((command) => `  ${command.words.join(" ").padEnd(width)}  ${command.summary}`);
  return [
    "meso: operating systems as TypeScript programs, compiled to bit-reproducible disk images",
    "",
    "Usage: meso COMMAND [OPTION…] [ARGUMENT…]",
    "",
    ...lines,
    "",
    "Each command tells more with --help. A first machine in five minutes: README.md.",
  ].join("\n");
}

/** What `meso COMMAND --help` prints. */
export function commandHelp({ words, summary }: CommandName, command: Command): string {
  const options = Object.entries({ ...command.options, ...commonOptions });
  const labels = options.map(([option, spec]) => label(option, spec));
  const width = Math.max(...labels.map((text) => text.length));
  return [
    `Usage: meso ${words.join(" ")} [OPTION…] ${command.positionals}`.trimEnd(),
    "",
    `${summary[0]!.toUpperCase()}${summary.slice(1)}.`,
    ...(command.details ? ["", command.details] : []),
    "",
    ...options.map(([, spec], i) => `  ${labels[i]!.padEnd(width)}  ${spec.description}`),
    "",
    "Examples:",
    ...command.examples.map((example) => `  meso ${example}`),
  ].join("\n");
}

function label(option: string, spec: OptionSpec): string {
  const short = spec.short ? `-${spec.short}, ` : "    ";
  return `${short}--${option}${spec.placeholder ? ` ${spec.placeholder}` : ""}`;
}
