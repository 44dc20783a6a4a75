import { ShellSyntaxError, type Token, tokenize, type Word } from "./shell-tokens.ts";

export interface Redirect {
  readonly operator: string;
  readonly target: Word;
  /** Text of a here-document. */
  readonly document?: string;
}

export type ShellNode =
  | {
      readonly kind: "simple";
      readonly assignments: readonly { readonly name: string; readonly value: Word }[];
      readonly words: readonly Word[];
      readonly redirects: readonly Redirect[];
    }
  | { readonly kind: "pipeline"; readonly commands: readonly ShellNode[]; readonly negated: boolean }
  | { readonly kind: "and" | "or"; readonly left: ShellNode; readonly right: ShellNode }
  | {
      readonly kind: "if";
      readonly clauses: readonly { readonly condition: ShellList; readonly body: ShellList }[];
      readonly otherwise: ShellList;
    }
  | {
      readonly kind: "case";
      readonly subject: Word;
      readonly arms: readonly { readonly patterns: readonly Word[]; readonly body: ShellList }[];
    }
  | { readonly kind: "for"; readonly variable: string; readonly words: readonly Word[]; readonly body: ShellList }
  | { readonly kind: "while"; readonly condition: ShellList; readonly body: ShellList }
  | { readonly kind: "function"; readonly name: string; readonly body: ShellNode }
  | {
      readonly kind: "group";
      readonly body: ShellList;
      readonly redirects: readonly Redirect[];
      /** In parentheses: a process of its own. */
      readonly subshell: boolean;
    };

export type ShellList = readonly ShellNode[];

/** Bytes; Debian's largest maintainer scripts are a tenth of this. */
const maximumScriptLength = 512 * 1024;
const maximumDepth = 60;

/**
 * A script of the POSIX shell (POSIX.1-2017, XCU chapter 2) as a tree; comments are gone. Throws
 * `ShellSyntaxError` for what Debian's maintainer scripts never use: callers then treat the whole as unknown.
 */
export function parseShell(source: string): ShellList {
  if (source.length > maximumScriptLength) throw new ShellSyntaxError("script too long");
  const tokens = tokenize(source);
  let position = 0;
  let depth = 0;

  const peek = (): Token | undefined => tokens[position];
  const isOperator = (text: string): boolean => {
    const token = peek();
    return token?.kind === "operator" && token.text === text;
  };
  const reserved = (): string | undefined => {
    const token = peek();
    return token?.kind === "word" ? token.bare : undefined;
  };
  const expect = (name: string): void => {
    const token = peek();
    const found = token?.kind === "operator" ? token.text : reserved();
    if (found !== name) throw new ShellSyntaxError(`expected ${name}, found ${found ?? token?.kind ?? "the end"}`);
    position++;
  };
  const skipNewlines = (): void => {
    while (isOperator("\n")) position++;
  };

  const parseList = (...ends: string[]): ShellList => {
    if (++depth > maximumDepth) throw new ShellSyntaxError("nested too deeply");
    const nodes: ShellNode[] = [];
    for (;;) {
      while (isOperator("\n") || isOperator(";") || isOperator("&")) position++;
      const token = peek();
      if (token === undefined) break;
      const text = token.kind === "operator" ? token.text : reserved();
      if (text !== undefined && ends.includes(text)) break;
      nodes.push(parseAndOr());
    }
    depth--;
    return nodes;
  };

  const parseAndOr = (): ShellNode => {
    let left = parsePipeline();
    while (isOperator("&&") || isOperator("||")) {
      const kind = isOperator("&&") ? "and" : "or";
      position++;
      skipNewlines();
      left = { kind, left, right: parsePipeline() };
    }
    return left;
  };

  const parsePipeline = (): ShellNode => {
    let negated = false;
    while (reserved() === "!") {
      negated = !negated;
      position++;
    }
    const commands = [parseCommand()];
    while (isOperator("|")) {
      position++;
      skipNewlines();
      commands.push(parseCommand());
    }
    return commands.length === 1 && !negated ? commands[0]! : { kind: "pipeline", commands, negated };
  };

  const parseRedirects = (): Redirect[] => {
    const redirects: Redirect[] = [];
    for (let token = peek(); token?.kind === "redirect"; token = peek()) {
      position++;
      const target = peek();
      if (target?.kind !== "word") throw new ShellSyntaxError("redirection without target");
      position++;
      redirects.push({
        operator: token.operator,
        target: target.word,
        ...(token.document === undefined ? {} : { document: token.document }),
      });
    }
    return redirects;
  };

  const grouped = (open: string, close: string): ShellNode => {
    expect(open);
    const body = parseList(close);
    expect(close);
    return { kind: "group", body, redirects: parseRedirects(), subshell: open === "(" };
  };

  const withRedirects = (node: ShellNode): ShellNode => {
    const redirects = parseRedirects();
    return redirects.length === 0 ? node : { kind: "group", body: [node], redirects, subshell: false };
  };

  const parseCommand = (): ShellNode => {
    if (isOperator("(")) return grouped("(", ")");
    switch (reserved()) {
      case "function":
        return parseBashFunction();
      case "{":
        return grouped("{", "}");
      case "if":
        return withRedirects(parseIf());
      case "case":
        return withRedirects(parseCase());
      case "for":
        return withRedirects(parseFor());
      case "while":
      case "until": {
        position++;
        const condition = parseList("do");
        return withRedirects({ kind: "while", condition, body: parseBody() });
      }
      default:
        return parseSimple();
    }
  };

  const parseBody = (): ShellList => {
    expect("do");
    const body = parseList("done");
    expect("done");
    return body;
  };

  const parseIf = (): ShellNode => {
    const clauses: { condition: ShellList; body: ShellList }[] = [];
    let otherwise: ShellList = [];
    expect("if");
    for (;;) {
      const condition = parseList("then");
      expect("then");
      clauses.push({ condition, body: parseList("elif", "else", "fi") });
      if (reserved() === "elif") {
        position++;
        continue;
      }
      if (reserved() === "else") {
        position++;
        otherwise = parseList("fi");
      }
      expect("fi");
      return { kind: "if", clauses, otherwise };
    }
  };

  const parseWord = (what: string): Word => {
    const token = peek();
    if (token?.kind !== "word") throw new ShellSyntaxError(`expected ${what}`);
    position++;
    return token.word;
  };

  const parseCase = (): ShellNode => {
    expect("case");
    const subject = parseWord("the word of a case");
    skipNewlines();
    expect("in");
    skipNewlines();
    const arms: { patterns: Word[]; body: ShellList }[] = [];
    while (reserved() !== "esac") {
      if (isOperator("(")) position++;
      const patterns = [parseWord("a pattern")];
      while (isOperator("|")) {
        position++;
        patterns.push(parseWord("a pattern"));
      }
      expect(")");
      arms.push({ patterns, body: parseList(";;", "esac") });
      if (isOperator(";;")) position++;
      skipNewlines();
    }
    expect("esac");
    return { kind: "case", subject, arms };
  };

  const parseFor = (): ShellNode => {
    expect("for");
    const variable = reserved();
    if (variable === undefined) throw new ShellSyntaxError("for without a variable");
    position++;
    skipNewlines();
    const words: Word[] = [];
    if (reserved() === "in") {
      position++;
      while (peek()?.kind === "word") words.push(parseWord("a word"));
    } else words.push([{ kind: "parameter", expression: "@", quoted: true }]);
    while (isOperator(";") || isOperator("\n")) position++;
    return { kind: "for", variable, words, body: parseBody() };
  };

  /** bash's own way to say it: `function name {`, with or without parentheses. */
  const parseBashFunction = (): ShellNode => {
    expect("function");
    const name = reserved();
    if (name === undefined) throw new ShellSyntaxError("function without a name");
    position++;
    if (isOperator("(")) {
      position++;
      expect(")");
    }
    skipNewlines();
    return { kind: "function", name, body: parseCommand() };
  };

  const parseSimple = (): ShellNode => {
    const assignments: { name: string; value: Word }[] = [];
    const words: Word[] = [];
    const redirects: Redirect[] = [];
    for (;;) {
      const token = peek();
      if (token?.kind === "redirect") {
        redirects.push(...parseRedirects());
        continue;
      }
      if (token?.kind !== "word") break;
      const assignment = words.length === 0 ? splitAssignment(token.word) : undefined;
      position++;
      if (assignment) assignments.push(assignment);
      else words.push(token.word);
      if (words.length === 1 && assignments.length === 0 && token.bare !== undefined && isOperator("(")) {
        position++;
        expect(")");
        skipNewlines();
        return { kind: "function", name: token.bare, body: parseCommand() };
      }
    }
    if (assignments.length + words.length + redirects.length === 0) {
      const token = peek();
      throw new ShellSyntaxError(`unexpected ${token?.kind === "operator" ? token.text : "token"}`);
    }
    return { kind: "simple", assignments, words, redirects };
  };

  const list = parseList();
  if (position < tokens.length) throw new ShellSyntaxError("text left over");
  return list;
}

function splitAssignment(word: Word): { name: string; value: Word } | undefined {
  const first = word[0];
  if (first?.kind !== "text" || first.quoted) return undefined;
  const match = /^([A-Za-z_]\w*)=/.exec(first.text);
  if (!match) return undefined;
  const rest = first.text.slice(match[0].length);
  return { name: match[1]!, value: [{ ...first, text: rest }, ...word.slice(1)] };
}
