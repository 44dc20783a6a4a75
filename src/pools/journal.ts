import { failure } from "../base/error.ts";
import { isRecord } from "../base/shape.ts";

/** Lines that a pool keeps. */
export const journalLength = 1000;

/** Refuses what would not be one line, one JSON object. @throws MesoError `wrong-journal-line`. */
export function checkJournalLine(line: string): string {
  if (!line.includes("\n") && isObject(line)) return line;
  throw failure("wrong-journal-line", "this is no line of a journal", {
    expected: "one JSON object without line breaks",
  });
}

/** The newest lines of a text, oldest first. What a power failure has cut short is no line. */
export function newestLines(text: string): string[] {
  return text.split("\n").filter(isObject).slice(-journalLength);
}

function isObject(line: string): boolean {
  try {
    return isRecord(JSON.parse(line));
  } catch {
    return false;
  }
}
