import { forget, restore, snapshot } from "./shell-branches.ts";
import { type Outcome, runBuiltIn, writtenText } from "./shell-builtins.ts";
import { answerOf, not, type PathOracle, type Truth } from "./shell-conditions.ts";
import { describeNode, textOf } from "./shell-describe.ts";
import { parseShell, type Redirect, type ShellList, type ShellNode } from "./shell-syntax.ts";
import { ShellSyntaxError } from "./shell-tokens.ts";
import { type ExpandedWord, expandWhole, expandWords, type ShellVariables, wordPattern } from "./shell-words.ts";

/** What following a maintainer script through a first installation leaves. */
export interface ReducedScript {
  /**
   * What the script would do that is neither known to be without effect nor understood, as normalised text;
   * empty when nothing is left. Comments, upgrade-only branches and generated fragments never reach it.
   */
  readonly residue: string;
}

/**
 * Looks at a command that has only known words. `certain` says that it does run on a first installation.
 * Answers whether the command is accounted for: without effect, or noted by the callee.
 */
export type CommandJudge = (command: readonly string[], certain: boolean) => boolean;

/** The pseudo-command by which a judge hears that literal text is written to a file: path, then text. */
export const writeCommand = ">";

/** How deep functions may call each other, and how often loops are unrolled. */
const maximumCalls = 12;
const maximumTurns = 64;
const maximumSteps = 20_000;

/**
 * Follows a maintainer script as dpkg calls it on the first installation of a package (Debian policy 6.5:
 * `preinst install`, `postinst configure ""`), without running anything. Both branches of a condition that
 * cannot be known are followed.
 */
export function reduceScript(
  source: string,
  call: { readonly script: "preinst" | "postinst"; readonly package: string },
  kindOf: PathOracle,
  judge: CommandJudge,
): ReducedScript {
  if (!/^#!\s*\/bin\/(ba|da)?sh\b/.test(source)) return { residue: source };
  try {
    const follower = createFollower(judge, kindOf, {
      values: new Map([
        ["DPKG_ROOT", ""],
        ["DPKG_MAINTSCRIPT_NAME", call.script],
        ["DPKG_MAINTSCRIPT_PACKAGE", call.package],
      ]),
      positional: call.script === "preinst" ? ["install"] : ["configure", ""],
    });
    follower.list(parseShell(source), true);
    return { residue: follower.lines.map((line) => `${line}\n`).join("") };
  } catch (error) {
    if (error instanceof ShellSyntaxError) return { residue: withoutComments(source) };
    throw error;
  }
}

function withoutComments(source: string): string {
  const lines = source.split("\n").map((line) => line.trim());
  return lines.filter((line) => line !== "" && !line.startsWith("#")).join("\n");
}

interface Follower {
  readonly lines: string[];
  readonly list: (list: ShellList, certain: boolean) => Outcome;
}

function createFollower(judge: CommandJudge, kindOf: PathOracle, initial: ShellVariables): Follower {
  const lines: string[] = [];
  const functions = new Map<string, ShellNode>();
  let variables = initial;
  let calls = 0;
  let steps = 0;
  /** After an exit in a branch that may be taken, nothing more is certain. */
  let mayHaveStopped = false;

  function list(nodes: ShellList, certain: boolean): Outcome {
    let status: Truth = true;
    for (const node of nodes) {
      if (++steps > maximumSteps) throw new ShellSyntaxError("takes too many steps to follow");
      const outcome = follow(node, certain && !mayHaveStopped);
      status = outcome.status;
      if (outcome.stop) {
        if (certain) return outcome;
        mayHaveStopped = true;
        return { status };
      }
    }
    return { status };
  }

  function follow(node: ShellNode, certain: boolean): Outcome {
    switch (node.kind) {
      case "simple":
        return simple(node, certain);
      case "group":
        noteRedirects(node.redirects, certain);
        return node.subshell ? subshell(node.body, certain) : list(node.body, certain);
      case "function":
        functions.set(node.name, node.body);
        return { status: true };
      case "pipeline":
        return pipeline(node, certain);
      case "and":
      case "or": {
        const left = follow(node.left, certain);
        if (left.stop) return left;
        if (left.status === (node.kind === "or")) return { status: left.status };
        if (left.status !== undefined) return follow(node.right, certain);
        maybe(describe(node.left), () => follow(node.right, false));
        return { status: undefined };
      }
      case "if":
        return conditional(node, certain);
      case "case":
        return choice(node, certain);
      case "for": {
        const words = expandWords(node.words, variables);
        const unrolled = words.length <= maximumTurns && words.every((word) => word.known && !/[*?[]/.test(word.text));
        if (!unrolled) return loop(node.body, node.variable, `for ${node.variable} in ${textOf(words)}`);
        for (const word of words) {
          variables.values.set(node.variable, word.text);
          const outcome = list(node.body, certain);
          if (outcome.stop === "loop") continue;
          if (outcome.stop) return outcome;
        }
        return { status: undefined };
      }
      case "while": {
        forget(variables, node.body);
        list(node.condition, false);
        return loop(node.body, undefined, `while ${node.condition.map(describe).join("; ")}`);
      }
    }
  }

  /** Neither what is assigned in it nor an exit reaches the script around it. */
  function subshell(body: ShellList, certain: boolean): Outcome {
    const saved = snapshot(variables);
    const stoppedBefore = mayHaveStopped;
    const { status } = list(body, certain);
    variables = saved;
    mayHaveStopped = stoppedBefore;
    return { status };
  }

  function loop(body: ShellList, variable: string | undefined, head: string): Outcome {
    forget(variables, body);
    if (variable !== undefined) variables.values.set(variable, undefined);
    maybe(head, () => list(body, false));
    return { status: undefined };
  }

  function conditional(node: Extract<ShellNode, { kind: "if" }>, certain: boolean): Outcome {
    let reached: boolean = certain;
    const before: ShellVariables[] = [];
    let status: Truth;
    for (const { condition, body } of node.clauses) {
      const outcome = list(condition, reached);
      if (outcome.stop) return outcome;
      if (outcome.status === false) continue;
      if (outcome.status === true) {
        const result = list(body, reached);
        if (reached === certain) return result;
        restore(variables, before);
        return { status: undefined };
      }
      reached = false;
      const saved = snapshot(variables);
      maybe(condition.map(describe).join("; "), () => list(body, false));
      before.push(snapshot(variables));
      variables = saved;
      status = undefined;
    }
    if (reached === certain && before.length === 0) return list(node.otherwise, certain);
    maybe("else", () => list(node.otherwise, false));
    restore(variables, before);
    return { status };
  }

  function choice(node: Extract<ShellNode, { kind: "case" }>, certain: boolean): Outcome {
    const subject = expandWhole(node.subject, variables);
    const after: ShellVariables[] = [];
    let sure = certain && subject.known;
    for (const arm of node.arms) {
      const patterns = arm.patterns.map((pattern) => wordPattern(pattern, variables));
      const matches = subject.known ? patterns.some((pattern) => pattern?.test(subject.text)) : false;
      if (subject.known && !matches && !patterns.includes(undefined)) continue;
      if (matches && after.length === 0) return list(arm.body, certain);
      sure = false;
      const saved = snapshot(variables);
      maybe(`case ${subject.text}`, () => list(arm.body, false));
      after.push(snapshot(variables));
      variables = saved;
      if (matches) break;
    }
    restore(variables, after);
    return { status: sure && after.length === 0 ? true : undefined };
  }

  function pipeline(node: Extract<ShellNode, { kind: "pipeline" }>, certain: boolean): Outcome {
    if (node.commands.length === 1) {
      const outcome = follow(node.commands[0]!, certain);
      return outcome.stop ? outcome : { status: not(outcome.status) };
    }
    const saved = snapshot(variables);
    const start = lines.length;
    for (const command of node.commands) follow(command, false);
    if (lines.length > start) {
      lines.length = start;
      lines.push(describe(node));
    }
    variables = saved;
    return { status: undefined };
  }

  function simple(node: Extract<ShellNode, { kind: "simple" }>, certain: boolean): Outcome {
    const words = expandWords(node.words, variables);
    if (words.length === 0) {
      for (const { name, value } of node.assignments) {
        const { text, known } = expandWhole(value, variables);
        variables.values.set(name, known ? text : undefined);
      }
      noteRedirects(node.redirects, certain, "");
      return {
        status: node.assignments.some(({ value }) => value.some((p) => p.kind === "substitution")) ? undefined : true,
      };
    }
    const command = words[0]!.text;
    const body = functions.get(command);
    if (body !== undefined) return callFunction(body, words.slice(1), certain);
    const builtin = runBuiltIn(words, variables);
    if (builtin) return builtin;
    noteRedirects(node.redirects, certain, writtenText(words, node.redirects));
    const status = answerOf(words, kindOf);
    if (status !== undefined || command === "[" || command === "test") return { status };
    const literal = words.every((word) => word.known);
    const accounted = judge(
      words.map((word) => (word.known ? word.text : "\0")),
      certain && literal,
    );
    if (!accounted) lines.push(textOf(words));
    return { status: undefined };
  }

  function callFunction(body: ShellNode, words: readonly ExpandedWord[], certain: boolean): Outcome {
    if (++calls > maximumCalls) throw new ShellSyntaxError("functions call each other too deeply");
    const outer = variables.positional;
    variables.positional = words.map((word) => (word.known ? word.text : undefined));
    const outcome = follow(body, certain);
    variables.positional = outer;
    calls--;
    return outcome.stop === "exit" ? outcome : { status: outcome.status };
  }

  function noteRedirects(redirects: readonly Redirect[], certain: boolean, written?: string): void {
    for (const { operator, target, document } of redirects) {
      if (!operator.includes(">") || operator.endsWith("&")) continue;
      const { text: path, known } = expandWhole(target, variables);
      if (/^\/dev\/(null|stderr|stdout|tty)$/.test(path) || /^\d+$/.test(path)) continue;
      const literal = operator === ">" && known && written !== undefined;
      if (literal && judge([writeCommand, path, written], certain)) continue;
      lines.push(`${operator} ${path}${document === undefined ? "" : ` <<${document}`}`);
    }
  }

  const describe = (node: ShellNode): string => describeNode(node, variables);

  /** What only may run: kept under its condition, or without a trace when it leaves nothing. */
  function maybe(condition: string, run: () => void): void {
    const start = lines.length;
    run();
    if (lines.length === start) return;
    const inner = lines.splice(start);
    lines.push(`if ${condition}`, ...inner.map((line) => `  ${line}`));
  }

  return { lines, list };
}
