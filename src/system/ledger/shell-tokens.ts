/** Words and operators of the POSIX shell (POSIX.1-2017, XCU 2.2, 2.3, 2.10), as Debian's maintainer scripts use them. */
export class ShellSyntaxError extends Error {}

export type WordPart =
  | { readonly kind: "text"; readonly text: string; readonly quoted: boolean }
  /** What stands between `${` and `}`, or the bare name. */
  | { readonly kind: "parameter"; readonly expression: string; readonly quoted: boolean }
  | { readonly kind: "substitution"; readonly source: string; readonly quoted: boolean };

export type Word = readonly WordPart[];

export type Token =
  | { readonly kind: "word"; readonly word: Word; readonly bare: string | undefined }
  | { readonly kind: "operator"; readonly text: string }
  | { readonly kind: "redirect"; readonly operator: string; document?: string };

const operators = ["&&", "||", ";;", ";", "&", "|", "(", ")", "\n"];

/** Comments are dropped; here-documents hang on their redirections. Throws `ShellSyntaxError`. */
export function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  const awaitingDocument: { token: Extract<Token, { kind: "redirect" }>; at: number }[] = [];
  let i = 0;
  while (i < source.length) {
    const c = source[i]!;
    if (c === " " || c === "\t" || c === "\r") i++;
    else if (c === "\\" && source[i + 1] === "\n") i += 2;
    else if (c === "#") while (i < source.length && source[i] !== "\n") i++;
    else {
      const redirect = /^(\d*)(<<-|<<|>>|>&|<&|>\||<>|>|<)/.exec(source.slice(i, i + 12));
      if (redirect) {
        const token: Token = { kind: "redirect", operator: redirect[0] };
        tokens.push(token);
        i += redirect[0].length;
        if (redirect[2]!.startsWith("<<")) awaitingDocument.push({ token, at: tokens.length });
        continue;
      }
      const operator = operators.find((text) => source.startsWith(text, i));
      if (operator !== undefined) {
        tokens.push({ kind: "operator", text: operator });
        i += operator.length;
        if (operator === "\n") i = readDocuments(source, i, tokens, awaitingDocument);
        continue;
      }
      const { parts, end } = readWord(source, i);
      const only = parts[0];
      const bare = parts.length === 1 && only!.kind === "text" && !only!.quoted ? only!.text : undefined;
      tokens.push({ kind: "word", word: parts, bare });
      i = end;
    }
  }
  return tokens;
}

function readDocuments(
  source: string,
  start: number,
  tokens: readonly Token[],
  awaiting: { token: Extract<Token, { kind: "redirect" }>; at: number }[],
): number {
  let i = start;
  for (const { token, at } of awaiting.splice(0)) {
    const delimiter = tokens[at];
    if (delimiter?.kind !== "word") throw new ShellSyntaxError("here-document without delimiter");
    const end = delimiter.word.map((part) => (part.kind === "text" ? part.text : "")).join("");
    const lines: string[] = [];
    for (;;) {
      if (i >= source.length) throw new ShellSyntaxError("here-document without end");
      const newline = source.indexOf("\n", i);
      const raw = source.slice(i, newline === -1 ? source.length : newline);
      i = newline === -1 ? source.length : newline + 1;
      const line = token.operator.endsWith("-") ? raw.replace(/^\t+/, "") : raw;
      if (line === end) break;
      lines.push(line);
    }
    token.document = lines.join("\n");
  }
  return i;
}

function readWord(source: string, start: number): { parts: WordPart[]; end: number } {
  const parts: WordPart[] = [];
  let text = "";
  const flush = (): void => {
    if (text !== "") parts.push({ kind: "text", text, quoted: false });
    text = "";
  };
  let i = start;
  while (i < source.length) {
    const c = source[i]!;
    if (/[\s;&|()<>]/.test(c)) break;
    if (c === "\\") {
      if (source[i + 1] === "\n") {
        i += 2;
        continue;
      }
      flush();
      parts.push({ kind: "text", text: source[i + 1] ?? "", quoted: true });
      i += 2;
    } else if (c === "'") {
      const end = quoteEnd(source, i);
      flush();
      parts.push({ kind: "text", text: source.slice(i + 1, end), quoted: true });
      i = end + 1;
    } else if (c === '"') {
      flush();
      i = readDoubleQuoted(source, i + 1, parts);
    } else if (c === "$" || c === "`") {
      const expansion = readExpansion(source, i, false);
      if (expansion === undefined) {
        text += c;
        i++;
      } else {
        flush();
        parts.push(expansion.part);
        i = expansion.end;
      }
    } else {
      text += c;
      i++;
    }
  }
  flush();
  return { parts, end: i };
}

function readDoubleQuoted(source: string, start: number, parts: WordPart[]): number {
  let text = "";
  let i = start;
  const flush = (): void => {
    parts.push({ kind: "text", text, quoted: true });
    text = "";
  };
  for (;;) {
    if (i >= source.length) throw new ShellSyntaxError("double quote without end");
    const c = source[i]!;
    if (c === '"') break;
    if (c === "\\" && /[$`"\\\n]/.test(source[i + 1] ?? "")) {
      if (source[i + 1] !== "\n") text += source[i + 1];
      i += 2;
      continue;
    }
    const expansion = c === "$" || c === "`" ? readExpansion(source, i, true) : undefined;
    if (expansion === undefined) {
      text += c;
      i++;
      continue;
    }
    if (text !== "") flush();
    parts.push(expansion.part);
    i = expansion.end;
  }
  flush();
  return i + 1;
}

function readExpansion(source: string, at: number, quoted: boolean): { part: WordPart; end: number } | undefined {
  if (source[at] === "`") {
    const end = source.indexOf("`", at + 1);
    if (end === -1) throw new ShellSyntaxError("backquote without end");
    return { part: { kind: "substitution", source: source.slice(at + 1, end), quoted }, end: end + 1 };
  }
  const next = source[at + 1];
  if (next === "(" || next === "{") {
    const end = matching(source, at + 1);
    const inner = source.slice(at + 2, end);
    if (next === "{") return { part: { kind: "parameter", expression: inner, quoted }, end: end + 1 };
    return { part: { kind: "substitution", source: inner, quoted }, end: end + 1 };
  }
  const name = /^([A-Za-z_]\w*|[0-9@*#?$!-])/.exec(source.slice(at + 1, at + 80));
  if (!name) return undefined;
  return { part: { kind: "parameter", expression: name[0], quoted }, end: at + 1 + name[0].length };
}

/** Index of the bracket that closes the one at `open`; brackets in quotes do not count. */
function matching(source: string, open: number): number {
  const opening = source[open]!;
  const closing = opening === "(" ? ")" : "}";
  let depth = 0;
  for (let i = open; i < source.length; i++) {
    const c = source[i]!;
    if (c === "\\") i++;
    else if (c === "'" && opening === "(") i = quoteEnd(source, i);
    else if (c === '"' && opening === "(") i = doubleQuoteEnd(source, i);
    else if (c === opening) depth++;
    else if (c === closing && --depth === 0) return i;
  }
  throw new ShellSyntaxError(`${opening} without ${closing}`);
}

function quoteEnd(source: string, open: number): number {
  const end = source.indexOf("'", open + 1);
  if (end === -1) throw new ShellSyntaxError("quote without end");
  return end;
}

function doubleQuoteEnd(source: string, open: number): number {
  for (let i = open + 1; i < source.length; i++) {
    if (source[i] === "\\") i++;
    else if (source[i] === "$" && (source[i + 1] === "(" || source[i + 1] === "{")) i = matching(source, i + 1);
    else if (source[i] === '"') return i;
  }
  throw new ShellSyntaxError("double quote without end");
}
