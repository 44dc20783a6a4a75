import { assert } from "../base/error.ts";

// Stands for a value while lines are looked at; no configuration file holds it.
const hole = "\0";

/**
 * The literal parts of a template, when its first line is empty: without that line, without the indentation that all
 * its lines share, and with the last line (the one of the closing backtick) emptied of white space. Blank lines do not
 * count, and become empty. A template that starts on the line of its backtick is left alone.
 */
export function dedented(literals: readonly string[]): readonly string[] {
  assert(!literals.some((literal) => literal.includes(hole)), "a template holds no NUL");
  const [first, ...lines] = literals.join(hole).split("\n");
  if (first!.trim() !== "" || lines.length === 0) return literals;
  const margin = Math.min(...lines.filter((line) => line.trim() !== "").map(indentation));
  return lines
    .map((line) => (line.trim() === "" ? "" : line.slice(margin)))
    .join("\n")
    .split(hole);
}

function indentation(line: string): number {
  return /^[ \t]*/.exec(line)![0].length;
}
