import type { ShellList, ShellNode } from "./shell-syntax.ts";
import type { ShellVariables } from "./shell-words.ts";

/** The variables as they are now, for a branch to change. */
export function snapshot(variables: ShellVariables): ShellVariables {
  return { values: new Map(variables.values), positional: variables.positional };
}

/** Variables on which the ends of several branches disagree are unknown. */
export function restore(variables: ShellVariables, ends: readonly ShellVariables[]): void {
  for (const end of ends) {
    if (JSON.stringify(end.positional) !== JSON.stringify(variables.positional)) variables.positional = undefined;
    for (const [name, value] of end.values) {
      if (!variables.values.has(name) || variables.values.get(name) !== value) variables.values.set(name, undefined);
    }
  }
}

/** What these commands may set, however often they run, is unknown. */
export function forget(variables: ShellVariables, nodes: ShellList): void {
  for (const node of nodes)
    forEachNode(node, (inner) => {
      if (inner.kind === "simple") for (const { name } of inner.assignments) variables.values.set(name, undefined);
      if (inner.kind === "for") variables.values.set(inner.variable, undefined);
      if (inner.kind === "simple" && changesPositional(inner)) variables.positional = undefined;
    });
}

function changesPositional({ words }: Extract<ShellNode, { kind: "simple" }>): boolean {
  const [command, option] = words.map((word) => word.map((part) => (part.kind === "text" ? part.text : "$")).join(""));
  return command === "shift" || (command === "set" && option === "--");
}

function forEachNode(node: ShellNode, visit: (node: ShellNode) => void): void {
  visit(node);
  const lists: ShellList[] = [];
  if (node.kind === "group" || node.kind === "for") lists.push(node.body);
  if (node.kind === "while") lists.push(node.condition, node.body);
  if (node.kind === "if") lists.push(...node.clauses.flatMap((c) => [c.condition, c.body]), node.otherwise);
  if (node.kind === "case") lists.push(...node.arms.map((arm) => arm.body));
  if (node.kind === "and" || node.kind === "or") lists.push([node.left, node.right]);
  if (node.kind === "pipeline") lists.push(node.commands);
  if (node.kind === "function") lists.push([node.body]);
  for (const inner of lists.flat()) forEachNode(inner, visit);
}
