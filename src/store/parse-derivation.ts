import { failure } from "../base/error.ts";
import { compareBytes } from "../base/order.ts";
import type { Derivation, DerivationOutput } from "./derivation.ts";

/**
 * Reads the text of a `.drv` file. Only what `printDerivation` writes is accepted: no spaces, sets sorted and without
 * duplicates, so that a text has one reading and a derivation one text.
 *
 * @throws MesoError `bad-derivation` with the position of the first character that does not fit.
 */
export function parseDerivation(text: string): Derivation {
  if (text.length > maxLength) throw bad(text.length, `at most ${maxLength} characters`);
  const input = reader(text);
  input.expect("Derive(");
  const outputs = new Map<string, DerivationOutput>();
  input.sortedList(() => {
    const [name, path, method, digest] = input.tuple(4) as [string, string, string, string];
    const fixed = /^(r:)?([a-z0-9]+)$/.exec(method);
    if (method !== "" && !fixed) throw bad(input.position(), "a method: sha256 or r:sha256");
    const hash = fixed && { fixed: { recursive: fixed[1] !== undefined, algorithm: fixed[2]!, digest } };
    outputs.set(name, { path, ...hash });
    return name;
  });
  if (outputs.size === 0) throw bad(input.position(), "an output");
  input.expect(",");
  const inputDerivations = new Map<string, readonly string[]>();
  input.sortedList(() => {
    input.expect("(");
    const path = input.text();
    input.expect(",");
    inputDerivations.set(path, input.sortedList(input.text));
    input.expect(")");
    return path;
  });
  input.expect(",");
  const inputSources = input.sortedList(input.text);
  input.expect(",");
  const system = input.text();
  input.expect(",");
  const builder = input.text();
  input.expect(",");
  const words = input.list(input.text);
  input.expect(",");
  const environment = new Map<string, string>();
  input.sortedList(() => {
    const [name, value] = input.tuple(2) as [string, string];
    environment.set(name, value);
    return name;
  });
  input.expect(")");
  input.end();
  return { outputs, inputDerivations, inputSources, system, builder, arguments: words, environment };
}

/** Characters: far beyond any derivation seen, far below what memory would mind. */
const maxLength = 64 << 20;

function reader(text: string) {
  let at = 0;
  const expect = (literal: string): void => {
    if (!text.startsWith(literal, at)) throw bad(at, JSON.stringify(literal));
    at += literal.length;
  };
  const string = (): string => {
    expect('"');
    const pieces: string[] = [];
    for (;;) {
      const rest = /["\\\n\r\t]/g;
      rest.lastIndex = at;
      const stop = rest.exec(text);
      if (!stop) throw bad(text.length, "the end of a string");
      pieces.push(text.slice(at, stop.index));
      at = stop.index + 1;
      if (stop[0] === '"') return pieces.join("");
      if (stop[0] !== "\\") throw bad(stop.index, "an escaped line break or tab");
      const escaped = unescapes[text[at] ?? ""];
      if (escaped === undefined) throw bad(at, 'one of n, r, t, " and \\ behind a backslash');
      pieces.push(escaped);
      at++;
    }
  };
  const list = <T>(item: () => T): T[] => {
    expect("[");
    const items: T[] = [];
    while (text[at] !== "]") {
      if (items.length > 0) expect(",");
      items.push(item());
    }
    at++;
    return items;
  };
  return {
    expect,
    text: string,
    list,
    /** Items give the string that they are sorted by. */
    sortedList: (item: () => string): string[] => {
      let last: string | undefined;
      return list(() => {
        const start = at;
        const key = item();
        if (last !== undefined && compareBytes(last, key) >= 0) throw bad(start, "sorted items, each once");
        last = key;
        return key;
      });
    },
    tuple: (length: number): string[] => {
      expect("(");
      const items = Array.from({ length }, (_, index) => {
        if (index > 0) expect(",");
        return string();
      });
      expect(")");
      return items;
    },
    position: () => at,
    end: (): void => {
      if (at !== text.length) throw bad(at, "the end");
    },
  };
}

const unescapes: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", '"': '"', "\\": "\\" };

function bad(position: number, expected: string) {
  return failure("bad-derivation", `the derivation does not read on at character ${position}`, { expected });
}
