import type { Truth } from "./shell-conditions.ts";
import type { Redirect } from "./shell-syntax.ts";
import type { ExpandedWord, ShellVariables } from "./shell-words.ts";

/** How a command ended, and whether what follows it is reached. */
export interface Outcome {
  readonly status: Truth;
  /** The rest of the function, loop or script is certainly not reached. */
  readonly stop?: "exit" | "return" | "loop";
}

/** What a command of the shell itself does to the variables and to what comes next; undefined for other commands. */
export function runBuiltIn(words: readonly ExpandedWord[], variables: ShellVariables): Outcome | undefined {
  const command = words[0]!.text;
  switch (command) {
    case "exit":
      return { status: true, stop: "exit" };
    case "return": {
      const code = words[1];
      return { status: code === undefined ? undefined : code.known ? code.text === "0" : undefined, stop: "return" };
    }
    case "break":
    case "continue":
      return { status: true, stop: "loop" };
    case "shift":
      variables.positional =
        words[1]?.known === false ? undefined : variables.positional?.slice(Number(words[1]?.text ?? 1));
      return { status: true };
    case "set":
      if (words[1]?.text === "--") variables.positional = words.slice(2).map((w) => (w.known ? w.text : undefined));
      return { status: true };
    case "local":
    case "export":
    case "readonly":
      for (const word of words.slice(1)) {
        const match = /^(\w+)(?:=(.*))?$/s.exec(word.text);
        if (match?.[2] !== undefined) variables.values.set(match[1]!, word.known ? match[2] : undefined);
        else if (match && command === "local") variables.values.set(match[1]!, "");
      }
      return { status: true };
    case "unset":
      for (const word of words.slice(1)) variables.values.set(word.text, "");
      return { status: true };
    case "read":
      for (const word of words.slice(1)) variables.values.set(word.text, undefined);
      return { status: undefined };
    default:
      if (command.startsWith("db_")) variables.values.set("RET", undefined);
      return undefined;
  }
}

/** What a command certainly prints: `echo` of literal words, `cat` of a here-document, nothing at all. */
export function writtenText(words: readonly ExpandedWord[], redirects: readonly Redirect[]): string | undefined {
  if (!words.every((word) => word.known)) return undefined;
  const [command, ...rest] = words.map((word) => word.text);
  if (command === ":" || command === "true") return "";
  if (command === "echo" && !rest[0]?.startsWith("-")) return `${rest.join(" ")}\n`;
  const document = redirects.find((redirect) => redirect.operator.includes("<<"))?.document;
  const isLiteral = document !== undefined && !/[$`\\]/.test(document);
  return command === "cat" && rest.length === 0 && isLiteral ? `${document}\n` : undefined;
}
