import { assert, failure } from "../../base/error.ts";

/** An element as it stands in a text: offsets are into that text, in UTF-16 units. */
export interface XmlElement {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, XmlAttribute>;
  readonly children: readonly XmlElement[];
  /** Character data directly inside, decoded. */
  readonly text: string;
  /** From `<` to behind the last `>`. */
  readonly start: number;
  readonly end: number;
  /** Between its tags; both behind the tag of an element that is written as one. */
  readonly innerStart: number;
  readonly innerEnd: number;
}

interface XmlAttribute {
  readonly value: string;
  /** Of the value, without its quotes. */
  readonly start: number;
  readonly end: number;
}

/**
 * Reads the subset of XML 1.0 that libvirt prints: elements, attributes, character data, and what people's own metadata
 * may bring: comments, CDATA sections, instructions; the five named entities and numbered ones. No document types, so nothing expands and nothing outside is read.
 *
 * @throws MesoError `task-failed` for anything else, and beyond 8 MiB or 64 levels.
 */
export function parseXml(text: string): XmlElement {
  if (text.length > longestText) throw badXml("it is longer than 8 MiB", 0);
  const cursor: Cursor = { text, at: 0 };
  if (text.startsWith("<?xml ")) cursor.at = skipTo(cursor, "?>");
  skipRemarks(cursor);
  const root = readElement(cursor, 0);
  skipRemarks(cursor);
  if (cursor.at !== text.length) throw badXml("something follows its root", cursor.at);
  return root;
}

/** The first child of that name, by steps: `child(domain, "os", "type")`. */
export function child(element: XmlElement | undefined, ...steps: readonly string[]): XmlElement | undefined {
  return steps.reduce((at, step) => at?.children.find(({ name }) => name === step), element);
}

export function childrenOf(element: XmlElement | undefined, name: string): readonly XmlElement[] {
  return element?.children.filter((each) => each.name === name) ?? [];
}

export function attribute(element: XmlElement | undefined, name: string): string | undefined {
  return element?.attributes.get(name)?.value;
}

/** Writes an element. Undefined attributes and children are left out; strings among the children are XML already. */
export function xml(
  name: string,
  attributes: Readonly<Record<string, string | number | undefined>>,
  ...children: readonly (string | undefined)[]
): string {
  assert(isName(name), `${name} is a name`);
  const written = Object.entries(attributes).flatMap(([key, value]) => {
    assert(isName(key), `${key} is a name`);
    return value === undefined ? [] : [` ${key}='${escapeXml(String(value))}'`];
  });
  const inside = children.filter((each) => each !== undefined).join("");
  return inside === "" ? `<${name}${written.join("")}/>` : `<${name}${written.join("")}>${inside}</${name}>`;
}

/** For character data and for attributes. @throws MesoError `invalid-setting` for what no XML can say. */
export function escapeXml(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these have no place in XML 1.0
  if (/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/.test(text) || !text.isWellFormed()) {
    throw failure("invalid-setting", "found control characters in what libvirt should be told", {
      expected: "characters that can be printed",
    });
  }
  return text.replace(/[&<>"'\n\r\t]/g, (found) => escapes[found]!);
}

export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly by: string;
}

/** Replaces places of a text, which must not overlap; everything else stays byte for byte. */
export function edited(text: string, edits: readonly Edit[]): string {
  const sorted = [...edits].sort((one, other) => one.start - other.start || one.end - other.end);
  let result = "";
  let at = 0;
  for (const { start, end, by } of sorted) {
    assert(start >= at && end >= start && end <= text.length, "edits lie in the text, one behind the other");
    result += text.slice(at, start) + by;
    at = end;
  }
  return result + text.slice(at);
}

const escapes: Readonly<Record<string, string>> = {
  ...{ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;" },
  // Else a reader makes blanks of them in attributes, and drops returns.
  ...{ "\n": "&#10;", "\r": "&#13;", "\t": "&#9;" },
};

const entities: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

const longestText = 8 << 20;
const deepest = 64;

interface Cursor {
  readonly text: string;
  at: number;
}

const namePattern = /[A-Za-z_:\u00c0-\ufffd][A-Za-z0-9_:.\u00b7-\ufffd-]*/y;

function isName(name: string): boolean {
  return matchAt(namePattern, name, 0) === name;
}

function matchAt(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

function readElement(cursor: Cursor, depth: number): XmlElement {
  const { text } = cursor;
  const start = cursor.at;
  if (depth > deepest) throw badXml(`it is nested deeper than ${deepest} levels`, start);
  if (text[start] !== "<") throw badXml("an element was expected", start);
  cursor.at++;
  const name = readName(cursor);
  const attributes = readAttributes(cursor);
  if (text.startsWith("/>", cursor.at)) {
    cursor.at += 2;
    const end = cursor.at;
    return { name, attributes, children: [], text: "", start, end, innerStart: end, innerEnd: end };
  }
  if (text[cursor.at] !== ">") throw badXml(`the tag ${name} does not end`, cursor.at);
  cursor.at++;
  const innerStart = cursor.at;
  const children: XmlElement[] = [];
  const pieces: string[] = [];
  for (;;) {
    const next = text.indexOf("<", cursor.at);
    if (next < 0) throw badXml(`${name} does not end`, cursor.at);
    pieces.push(decoded(text.slice(cursor.at, next), cursor.at));
    cursor.at = next;
    if (text.startsWith("</", next)) break;
    if (text.startsWith("<!--", next)) cursor.at = skipTo(cursor, "-->");
    else if (text.startsWith("<?", next)) cursor.at = skipTo(cursor, "?>");
    else if (text.startsWith("<![CDATA[", next)) {
      cursor.at = skipTo(cursor, "]]>");
      pieces.push(text.slice(next + "<![CDATA[".length, cursor.at - "]]>".length));
    } else children.push(readElement(cursor, depth + 1));
  }
  const innerEnd = cursor.at;
  cursor.at += 2;
  if (readName(cursor) !== name) throw badXml(`another tag than ${name} ends it`, innerEnd);
  skipBlanks(cursor);
  if (text[cursor.at] !== ">") throw badXml(`the end tag of ${name} does not end`, cursor.at);
  cursor.at++;
  return { name, attributes, children, text: pieces.join(""), start, end: cursor.at, innerStart, innerEnd };
}

function readName(cursor: Cursor): string {
  const name = matchAt(namePattern, cursor.text, cursor.at);
  if (name === undefined) throw badXml("a name was expected", cursor.at);
  cursor.at += name.length;
  return name;
}

function readAttributes(cursor: Cursor): Map<string, XmlAttribute> {
  const { text } = cursor;
  const attributes = new Map<string, XmlAttribute>();
  for (;;) {
    const blanks = skipBlanks(cursor);
    if (blanks === 0 || /^[/>]/.test(text[cursor.at] ?? "")) return attributes;
    const name = readName(cursor);
    const quote = text[cursor.at + 1] ?? "";
    if (text[cursor.at] !== "=" || !/^["']$/.test(quote)) throw badXml(`${name} has no value`, cursor.at);
    const start = cursor.at + 2;
    const end = text.indexOf(quote, start);
    if (end < 0) throw badXml(`the value of ${name} does not end`, start);
    const raw = text.slice(start, end);
    if (raw.includes("<")) throw badXml(`the value of ${name} holds a <`, start);
    if (attributes.has(name)) throw badXml(`${name} is given twice`, start);
    attributes.set(name, { value: decoded(raw, start), start, end });
    cursor.at = end + 1;
  }
}

function decoded(raw: string, at: number): string {
  if (!raw.includes("&")) return raw;
  return raw.replace(/&([^;&]{0,10};?)/g, (_, found: string) => {
    const number = /^#(?:x([0-9A-Fa-f]{1,6})|([0-9]{1,7}));$/.exec(found);
    const code = number ? Number.parseInt(number[1] ?? number[2]!, number[1] === undefined ? 10 : 16) : Number.NaN;
    if (code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff)) return String.fromCodePoint(code);
    const named = found.endsWith(";") ? entities[found.slice(0, -1)] : undefined;
    if (named === undefined) throw badXml(`&${found} is no entity`, at);
    return named;
  });
}

function skipBlanks(cursor: Cursor): number {
  const start = cursor.at;
  while (/^[ \t\r\n]$/.test(cursor.text[cursor.at] ?? "")) cursor.at++;
  return cursor.at - start;
}

function skipRemarks(cursor: Cursor): void {
  skipBlanks(cursor);
  while (cursor.text.startsWith("<!--", cursor.at)) {
    cursor.at = skipTo(cursor, "-->");
    skipBlanks(cursor);
  }
}

/** Behind the next `end`. */
function skipTo(cursor: Cursor, end: string): number {
  const found = cursor.text.indexOf(end, cursor.at);
  if (found < 0) throw badXml(`${end} is missing`, cursor.at);
  return found + end.length;
}

function badXml(what: string, at: number) {
  return failure("task-failed", `libvirt's XML cannot be read: ${what} (at character ${at})`);
}
