import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { AnyServiceType } from "../language/service-type.ts";

/** What the source of a service type says about its options. */
export interface OptionTypes {
  /** The TypeScript type of each option, on one line. */
  readonly types: Readonly<Record<string, string>>;
  /** Declarations beside the service that those types name, in the order in which they are named. */
  readonly records: readonly string[];
}

/**
 * Types are gone when a program runs, but the programs are run from their source: it is read where `serviceType<Options>`
 * was called. Only what this house's formatter writes is understood; an option of unknown type is left out.
 */
export function optionTypes({ where, options }: Pick<AnyServiceType, "where" | "options">): OptionTypes {
  if (where === undefined || !existsSync(where.file)) return { types: {}, records: [] };
  const source = readFileSync(where.file, "utf8");
  const call = source.split("\n").slice(where.line - 1, where.line);
  const name = /serviceType<(\w+)/.exec(call.join(""))?.[1];
  const found = name === undefined ? undefined : declarationOf(name, where.file);
  if (found === undefined) return { types: {}, records: [] };
  const members = membersOf(found);
  const types = Object.fromEntries(
    Object.keys(options).flatMap((option) => {
      const type = members.get(option);
      return type === undefined ? [] : [[option, type]];
    }),
  );
  return { types, records: recordsNamedIn(Object.values(types).join(" "), found.file) };
}

interface Declaration {
  readonly name: string;
  readonly file: string;
  /** With its comment, from `interface` or `type` to the end. */
  readonly text: string;
}

/** In the file itself, or where it imports it from, as long as that is beside it. */
function declarationOf(name: string, file: string): Declaration | undefined {
  const source = readFileSync(file, "utf8");
  const start = new RegExp(`^(?:export )?(?:interface|type) ${name}\\b`, "m").exec(source)?.index;
  if (start !== undefined) {
    const isInterface = /^(export )?interface/.test(source.slice(start));
    const lineEnd = source.indexOf("\n", start);
    const isLong = isInterface && source[lineEnd - 1] !== "}";
    const end = isLong
      ? source.indexOf("\n}", start) + 2
      : isInterface
        ? lineEnd
        : start + statementEnd(source.slice(start)) + 1;
    const text = commentBefore(source, start) + source.slice(start, end);
    return { name, file, text: withoutConstants(text.replace(/^export /m, ""), source).replaceAll("readonly ", "") };
  }
  for (const [, names, from] of source.matchAll(/^import (?:type )?\{([^}]*)\} from "(\.[^"]*)"/gm)) {
    const isNamed = names!.split(",").some((word) => word.trim().replace(/^type /, "") === name);
    const place = resolve(dirname(file), from!);
    if (isNamed && dirname(place) === dirname(file)) return declarationOf(name, place);
  }
  return undefined;
}

function commentBefore(source: string, start: number): string {
  const before = source.slice(0, start);
  if (!before.endsWith("*/\n")) return "";
  return before.slice(before.lastIndexOf("/**"));
}

/** `(typeof levels)[number]` and `keyof typeof ways` as the words that they stand for. */
function withoutConstants(text: string, source: string): string {
  const constant = (name: string, open: string) =>
    new RegExp(`^(?:export )?const ${name} = \\${open}([^;]*?)[\\]}] as const;`, "m").exec(source)?.[1];
  return text
    .replace(/\(typeof (\w+)\)\[number\]/g, (whole, name: string) => {
      const words = constant(name, "[")?.match(/"[^"]*"/g);
      return words?.join(" | ") ?? whole;
    })
    .replace(/keyof typeof (\w+)/g, (whole, name: string) => {
      const words = [...(constant(name, "{") ?? "").matchAll(/(\w+):/g)].map(([, word]) => `"${word}"`);
      return words.length > 0 ? words.join(" | ") : whole;
    });
}

/** Where the `;` is that ends what begins the text: the first outside of brackets. */
function statementEnd(text: string): number {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if ("{([".includes(character)) depth++;
    else if ("})]".includes(character)) depth--;
    else if (character === ";" && depth === 0) return at;
    else if (text.startsWith("/*", at)) at = text.indexOf("*/", at) + 1;
  }
  return text.length;
}

/** The type of each member of an interface, and of those that it extends. */
function membersOf({ text, file }: Declaration): ReadonlyMap<string, string> {
  const parents = /^interface \w+ extends ([\w, ]+) \{/m.exec(text)?.[1]?.split(", ") ?? [];
  const inherited = parents.flatMap((name) => {
    const parent = declarationOf(name, file);
    return parent ? [...membersOf(parent)] : [];
  });
  const own: [string, string][] = [];
  for (const { 0: head, 1: name, index } of text.matchAll(/^ {2}(\w+)\??: ?/gm)) {
    const rest = text.slice(index + head.length);
    own.push([name!, rest.slice(0, statementEnd(rest)).replace(/\s+/g, " ").trim()]);
  }
  return new Map([...inherited, ...own]);
}

function recordsNamedIn(text: string, file: string): string[] {
  const known = new Map<string, string>();
  const look = (words: string, from: string): void => {
    for (const [name] of words.replace(/\/\*[\s\S]*?\*\/|"[^"]*"/g, "").matchAll(/\b[A-Z]\w+\b/g)) {
      const found = known.has(name) ? undefined : declarationOf(name, from);
      if (found === undefined) continue;
      known.set(name, found.text);
      look(found.text, found.file);
    }
  };
  look(text, file);
  return [...known.values()];
}
