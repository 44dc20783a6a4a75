import type { Word, WordPart } from "./shell-tokens.ts";

/** Values of variables while a script is followed: a string, or `undefined` under a name that is set to something unknown. */
export interface ShellVariables {
  readonly values: Map<string, string | undefined>;
  /** `$1`, `$2`, …; undefined when not even their number is known. */
  positional: readonly (string | undefined)[] | undefined;
}

/** A word after expansion: its text, with what is unknown left as written, and whether all of it is known. */
export interface ExpandedWord {
  readonly text: string;
  readonly known: boolean;
}

/** Expands without splitting: for assignments, `case` subjects, redirection targets. */
export function expandWhole(word: Word, variables: ShellVariables): ExpandedWord {
  let text = "";
  let known = true;
  for (const part of word) {
    const value = partValue(part, variables);
    if (value === undefined) known = false;
    text += value ?? partSource(part);
  }
  return { text, known };
}

/** Expands and splits into fields, as the words of a command are. */
export function expandWords(words: readonly Word[], variables: ShellVariables): ExpandedWord[] {
  return words.flatMap((word) => {
    const only = word.length <= 3 ? word.filter((part) => part.kind !== "text" || part.text !== "") : word;
    if (only.length === 1 && only[0]!.kind === "parameter" && /^[@*]$/.test(only[0]!.expression)) {
      if (variables.positional === undefined) return [{ text: "$@", known: false }];
      return variables.positional.map((value) => ({ text: value ?? "$?", known: value !== undefined }));
    }
    const splittable = word.some((part) => part.kind !== "text" && !part.quoted);
    const whole = expandWhole(word, variables);
    if (!splittable) return [whole];
    if (!whole.known) return [whole];
    return whole.text
      .split(/\s+/)
      .filter((field) => field !== "")
      .map((text) => ({ text, known: true }));
  });
}

/** The word as a shell pattern, quoted parts taken literally; `undefined` when part of it is unknown. */
export function wordPattern(word: Word, variables: ShellVariables): RegExp | undefined {
  let pattern = "";
  for (const part of word) {
    const value = partValue(part, variables);
    if (value === undefined) return undefined;
    pattern += part.quoted ? escapeLiteral(value) : globSource(value);
  }
  try {
    return new RegExp(`^(?:${pattern})$`, "s");
  } catch {
    return undefined;
  }
}

function partValue(part: WordPart, variables: ShellVariables): string | undefined {
  if (part.kind === "text") return part.text;
  if (part.kind === "substitution") return substitutionValue(part.source, variables);
  return parameterValue(part.expression, variables);
}

/** `dirname` and `basename` of something known; no other command is ever answered. */
function substitutionValue(source: string, variables: ShellVariables): string | undefined {
  const match = /^\s*(dirname|basename)\s+"?(?:\$\{?(\w+)\}?|([^\s"'$`]+))"?\s*$/.exec(source);
  if (!match) return undefined;
  const path = match[2] === undefined ? match[3] : parameterValue(match[2], variables);
  if (path === undefined || !path.startsWith("/")) return undefined;
  const cut = path.lastIndexOf("/");
  return match[1] === "basename" ? path.slice(cut + 1) : path.slice(0, cut) || "/";
}

function parameterValue(expression: string, variables: ShellVariables): string | undefined {
  const match = /^(\w+|[@*#?$!-])(?:(:?[-+=])(.*))?$/s.exec(expression);
  if (!match) return undefined;
  const [, name, operator, alternative] = match;
  const { isSet, value } = lookUp(name!, variables);
  if (operator === undefined) return isSet ? value : emptyUnlessEnvironment(name!);
  if (/[$`'"\\]/.test(alternative!)) return undefined;
  if (isSet && value === undefined) return undefined;
  if (!isSet && emptyUnlessEnvironment(name!) === undefined) return undefined;
  const present = isSet && (operator.length === 1 || value !== "");
  if (operator.endsWith("+")) return present ? alternative : "";
  return present ? value : alternative;
}

function lookUp(name: string, variables: ShellVariables): { isSet: boolean; value: string | undefined } {
  if (/^[1-9]\d*$/.test(name)) {
    if (variables.positional === undefined) return { isSet: true, value: undefined };
    const index = Number(name) - 1;
    return { isSet: index < variables.positional.length, value: variables.positional[index] };
  }
  if (name === "#") return { isSet: true, value: variables.positional && String(variables.positional.length) };
  if (/^[@*]$/.test(name)) {
    const all = variables.positional;
    return { isSet: true, value: all === undefined || all.includes(undefined) ? undefined : all.join(" ") };
  }
  if (!/^[A-Za-z_]/.test(name)) return { isSet: true, value: undefined };
  return { isSet: variables.values.has(name), value: variables.values.get(name) };
}

/** A script's own variables are lower-case or assigned; capitals that nobody assigned may come from outside. */
function emptyUnlessEnvironment(name: string): string | undefined {
  return /^[A-Z_]+$/.test(name) ? undefined : "";
}

function partSource(part: WordPart): string {
  if (part.kind === "text") return part.text;
  const source = part.kind === "parameter" ? part.expression : part.source.replace(/\s+/g, " ").trim();
  return part.kind === "parameter" ? `\${${source}}` : `$(${source})`;
}

function escapeLiteral(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function globSource(text: string): string {
  return text.replace(/\[!|[.*+?^${}()|\\]/g, (c) => {
    if (c === "*") return ".*";
    if (c === "?") return ".";
    return c === "[!" ? "[^" : `\\${c}`;
  });
}
