import { failure } from "../base/error.ts";
import type { SourceLocation } from "../base/location.ts";
import { callerLocation } from "../base/location.ts";
import { dedented } from "./dedent.ts";
import type { PackageWish } from "./package-reference.ts";
import { packageName } from "./package-reference.ts";
import { attachFacts, describe, factsOf, frozenCopy } from "./record.ts";

/** Text that may name files of packages and generated files; naming one makes it a part of the system. */
export interface Text {
  readonly kind: "text";
  readonly parts: readonly TextPart[];
}

export type TextPart = string | PackageFile | GeneratedFile;

/** A file that a package brings, by its path in the running system. */
export interface PackageFile {
  readonly kind: "package-file";
  readonly package: string;
  readonly path: string;
}

/** A file with a store path of its own, drawn from its name and contents. */
export interface GeneratedFile {
  readonly kind: "generated-file";
  readonly name: string;
  readonly text: Text;
  readonly executable: boolean;
}

/** What files are written from. */
export type Content = string | Text;

export type Interpolated = string | number | Text | PackageFile | GeneratedFile | readonly Interpolated[];

/**
 * A template for configuration: the indentation common to all lines is dropped, as is an empty first line. A value
 * of several lines is indented like the place where it stands, and its last newline gives way to the one that follows
 * it there; a list stands for its items, one a line. A line of nothing but an empty value is left out.
 *
 * @throws MesoError `not-text` when a value is none of the types that can be written into text.
 */
export function text(strings: TemplateStringsArray, ...values: readonly Interpolated[]): Text {
  const parts: TextPart[] = [];
  const literals = [...dedented(strings)];
  literals.forEach((literal, index) => {
    append(parts, literal);
    if (index >= values.length) return;
    const isLineEnd = literals[index + 1]?.startsWith("\n") ?? false;
    const valueParts = partsOf(values[index], () => callerLocation(text));
    if (isLineEnd && valueParts.every((part) => part === "") && dropEmptyLine(parts)) {
      literals[index + 1] = literals[index + 1]!.slice(1);
      return;
    }
    const margin = indentationOf(parts);
    for (const part of isLineEnd ? withoutLastNewline(valueParts) : valueParts) {
      append(parts, typeof part === "string" ? part.replace(/\n(?!\n)/g, `\n${margin}`) : part);
    }
  });
  return asText(parts);
}

/** A generated file of the system, for templates to name: `` textFile("chrony.conf", text`…`) ``. */
export function textFile(name: string, content: Content): GeneratedFile {
  return generatedFile(name, content, false, callerLocation(textFile));
}

/** A generated file that can be run; its text starts with `#!`. */
export function programFile(name: string, content: Content): GeneratedFile {
  return generatedFile(name, content, true, callerLocation(programFile));
}

/** /usr/bin/NAME of a package. */
export function bin(owner: PackageWish, name: string): PackageFile {
  return file(owner, `/usr/bin/${name}`);
}

/** /usr/sbin/NAME of a package. */
export function sbin(owner: PackageWish, name: string): PackageFile {
  return file(owner, `/usr/sbin/${name}`);
}

/** Any file of a package, by absolute path. */
export function file(owner: PackageWish, path: string): PackageFile {
  return frozenCopy({ kind: "package-file", package: packageName(owner), path });
}

/** Content as a text, whatever it was given as. */
export function asTextValue(content: Content): Text {
  return typeof content === "string" ? asText([content]) : content;
}

function generatedFile(
  name: string,
  content: Content,
  executable: boolean,
  where: SourceLocation | undefined,
): GeneratedFile {
  // Store names: letters, digits and +-._?= (Nix's checkName), not starting with a dot, at most 211 characters.
  if (!/^[A-Za-z0-9+\-_?=][A-Za-z0-9+\-._?=]{0,210}$/.test(name)) {
    throw failure("wrong-name", `found the file name ${describe(name)}`, {
      ...(where && { where }),
      expected: "letters, digits and + - . _ ? =, not starting with a dot",
    });
  }
  const isContent = typeof content === "string" || content?.kind === "text";
  if (!isContent) throw notText(content, where);
  const value: GeneratedFile = { kind: "generated-file", name, text: asTextValue(content), executable };
  return attachFacts(value, { kind: "generated file", given: {}, fields: {}, ...(where && { where }) });
}

function partsOf(value: unknown, where: () => SourceLocation | undefined): TextPart[] {
  if (typeof value === "string") return [value];
  if (typeof value === "number") return [String(value)];
  if (Array.isArray(value)) {
    return value.flatMap((item, index) => (index === 0 ? partsOf(item, where) : ["\n", ...partsOf(item, where)]));
  }
  const kind = (value as { kind?: unknown } | null | undefined)?.kind;
  if (kind === "text") return [...(value as Text).parts];
  if (kind === "package-file" || kind === "generated-file") return [value as PackageFile | GeneratedFile];
  throw notText(value, where());
}

function notText(value: unknown, where: SourceLocation | undefined): Error {
  const isPackage = (value as PackageWish & { kind?: unknown })?.kind === "debian";
  return failure("not-text", `${isPackage ? "a package" : describe(value)} cannot be written into text`, {
    ...(where && { where }),
    expected: "a string, number, text, textFile(), bin(), sbin(), file(), or a list of them",
    ...(isPackage && { hint: 'name one of its files: bin(debian("…"), "…")' }),
  });
}

function append(parts: TextPart[], part: TextPart): void {
  const last = parts.at(-1);
  if (part === "") return;
  if (typeof part === "string" && typeof last === "string") parts[parts.length - 1] = last + part;
  else parts.push(part);
}

/** Takes back the indentation of a line that holds nothing else yet; false when it does hold something. */
function dropEmptyLine(parts: TextPart[]): boolean {
  const last = parts.at(-1);
  if (last === undefined) return true;
  if (typeof last !== "string") return false;
  const start = last.lastIndexOf("\n") + 1;
  if (last.slice(start).trim() !== "" || (start === 0 && parts.length > 1)) return false;
  parts[parts.length - 1] = last.slice(0, start);
  return true;
}

function withoutLastNewline(parts: readonly TextPart[]): readonly TextPart[] {
  const last = parts.at(-1);
  return typeof last === "string" ? [...parts.slice(0, -1), last.replace(/\n$/, "")] : parts;
}

/** The white space that starts the last line written so far. */
function indentationOf(parts: readonly TextPart[]): string {
  for (let index = parts.length - 1; index >= 0; index--) {
    const part = parts[index]!;
    if (typeof part !== "string") continue;
    const start = part.lastIndexOf("\n") + 1;
    if (start > 0 || index === 0) return /^[ \t]*/.exec(part.slice(start))![0];
  }
  return "";
}

function asText(parts: readonly TextPart[]): Text {
  const value: Text = { kind: "text", parts: Object.freeze([...parts]) };
  return factsOf(value) ? value : attachFacts(value, { kind: "text", given: {}, fields: {} });
}
