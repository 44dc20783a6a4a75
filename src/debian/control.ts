import { failure } from "../base/error.ts";

/** One paragraph of a control file (deb822(5)). */
export interface Paragraph {
  /** The line its first field stands on, counted from 1. */
  readonly line: number;
  /**
   * By name as spelled, in the order of the file. A value's continuation lines follow after line breaks, their
   * leading space kept, so that `Name: value` writes the field as it was read.
   */
  readonly fields: ReadonlyMap<string, string>;
}

export interface ControlOptions {
  /** What is read, for messages: `control of bash_5.2`. */
  readonly source?: string;
  /** Whether lines that begin with `#` are skipped (source control files and apt's sources; not indices). */
  readonly comments?: boolean;
}

/**
 * The paragraphs of deb822 text. Throws a `MesoError` (`bad-control`) with the line number on a line that is no
 * field, a field given twice (names differ by more than case), a continuation without a field, or text beyond
 * the bounds (`maximumFieldCharacters`, `maximumFields`).
 */
export function parseControl(text: string, options: ControlOptions = {}): Paragraph[] {
  const paragraphs: Paragraph[] = [];
  let fields = new Map<string, string>();
  let seen = new Set<string>();
  let firstLine = 0;
  let name = "";
  let value = "";
  let lineNumber = 0;

  const endField = () => {
    if (name !== "") fields.set(name, value);
    name = "";
  };
  const endParagraph = () => {
    endField();
    if (fields.size > 0) paragraphs.push({ line: firstLine, fields });
    fields = new Map();
    seen = new Set();
  };

  for (let at = 0; at < text.length; ) {
    let end = text.indexOf("\n", at);
    if (end < 0) end = text.length;
    const line = trimEnd(text, at, end);
    at = end + 1;
    lineNumber++;
    const fail = (why: string) => bad(why, lineNumber, options);
    if (line === "") {
      endParagraph();
      continue;
    }
    const first = line.charCodeAt(0);
    if (first === hash && options.comments) continue;
    if (first === space || first === tab) {
      if (name === "") throw fail("a continuation line without a field before it");
      value += `\n${line}`;
    } else {
      endField();
      const colon = line.indexOf(":");
      if (colon <= 0 || !fieldName.test(line.slice(0, colon))) throw fail(`"${shorten(line)}" is no field`);
      if (fields.size === 0) firstLine = lineNumber;
      name = line.slice(0, colon);
      value = line.slice(colon + 1).trim();
      const key = name.toLowerCase();
      if (seen.has(key)) throw fail(`the field "${name}" stands twice in one paragraph`);
      seen.add(key);
      if (seen.size > maximumFields) throw fail(`a paragraph has more than ${maximumFields} fields`);
    }
    if (value.length > maximumFieldCharacters) {
      throw fail(`the field "${name}" is longer than ${maximumFieldCharacters} characters`);
    }
  }
  endParagraph();
  return paragraphs;
}

/** The value of a field whatever the case of its name, as deb822 asks. */
export function fieldOf(paragraph: Paragraph, name: string): string | undefined {
  const exact = paragraph.fields.get(name);
  if (exact !== undefined) return exact;
  const wanted = name.toLowerCase();
  for (const [key, value] of paragraph.fields) if (key.toLowerCase() === wanted) return value;
  return undefined;
}

/** Far above what archives hold: the longest field of Debian's indices has some 100,000 characters. */
export const maximumFieldCharacters = 64 * 1024 * 1024;
export const maximumFields = 1000;

/** Printable ASCII without colon and space, not beginning with `#` or `-` (deb822(5)). */
const fieldName = /^[!-"$-,.-9;-~][!-9;-~]*$/;
const hash = 0x23;
const space = 0x20;
const tab = 0x09;
const carriageReturn = 0x0d;

function trimEnd(text: string, from: number, end: number): string {
  let to = end;
  while (to > from) {
    const code = text.charCodeAt(to - 1);
    if (code !== space && code !== tab && code !== carriageReturn) break;
    to--;
  }
  return text.slice(from, to);
}

function bad(why: string, line: number, options: ControlOptions): Error {
  return failure("bad-control", `${options.source ?? "control text"}, line ${line}: ${why}`, {
    expected: `lines "Name: value", continued by lines that begin with a space; an empty line between paragraphs`,
  });
}

function shorten(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}
