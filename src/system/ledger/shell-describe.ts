import type { ShellNode } from "./shell-syntax.ts";
import { type ExpandedWord, expandWhole, expandWords, type ShellVariables } from "./shell-words.ts";

/** A command as a residue shows it: on one line, with the variables that are known put in. */
export function describeNode(node: ShellNode, variables: ShellVariables): string {
  const describe = (inner: ShellNode): string => describeNode(inner, variables);
  switch (node.kind) {
    case "simple":
      return textOf([
        ...node.assignments.map(({ name, value }) => ({
          text: `${name}=${expandWhole(value, variables).text}`,
          known: true,
        })),
        ...expandWords(node.words, variables),
      ]);
    case "pipeline":
      return `${node.negated ? "! " : ""}${node.commands.map(describe).join(" | ")}`;
    case "and":
    case "or":
      return `${describe(node.left)} ${node.kind === "and" ? "&&" : "||"} ${describe(node.right)}`;
    case "group":
      return `{ ${node.body.map(describe).join("; ")} }`;
    case "if":
      return `if ${node.clauses.map(({ condition, body }) => [...condition, ...body].map(describe).join("; ")).join("; ")}`;
    case "for":
    case "while":
      return `${node.kind} ${node.body.map(describe).join("; ")}`;
    default:
      return node.kind;
  }
}

export function textOf(words: readonly ExpandedWord[]): string {
  return words.map((word) => word.text.replace(/\s+/g, " ")).join(" ");
}
