import { nameOfPath } from "../../store/store-path.ts";
import { type Command, programOptions } from "../command.ts";
import { namedPackages } from "../package-words.ts";

export const graphCommand: Command = {
  positionals: "PACKAGE",
  minimumPositionals: 1,
  maximumPositionals: 100,
  options: {
    lock: programOptions.lock,
    dot: { type: "boolean", description: "as a graph for Graphviz" },
  },
  examples: ["graph hello", "graph --dot packages.ts#pmix | dot -Tsvg > pmix.svg"],
  details:
    "Prints how a package comes to be, the whole way back to signed archives: each derivation with what it is made from,\n" +
    "and of what is fetched the address and the hash that the signed index says.",
  async run(context) {
    const { graph, wanted } = await namedPackages(context, context.positionals);
    const shown = new Set<string>();
    const nodes: { name: string; derivation: string; inputs: string[]; urls?: string[]; sha256?: string }[] = [];
    const visit = (path: string): void => {
      if (shown.has(path)) return;
      shown.add(path);
      const derivation = graph.read(path);
      const inputs = [...derivation.inputDerivations.keys()];
      const fixed = derivation.outputs.get("out")?.fixed;
      const urls = derivation.environment.get("urls")?.split("\n");
      const sources = [...derivation.inputSources];
      nodes.push({
        name: nameOfPath(path),
        derivation: path,
        inputs: [...inputs, ...sources],
        ...(urls && { urls }),
        ...(fixed && { sha256: fixed.digest }),
      });
      inputs.forEach(visit);
    };
    for (const { path } of wanted) visit(path);
    if (context.json) context.print(JSON.stringify(nodes, undefined, 2));
    else if (context.options.dot) {
      context.print("digraph packages {");
      for (const { derivation, name, inputs } of nodes) {
        context.print(`  "${derivation}" [label="${name}"];`);
        for (const input of inputs) context.print(`  "${derivation}" -> "${input}";`);
      }
      context.print("}");
    } else {
      for (const { name, inputs, urls, sha256 } of nodes) {
        context.print(name);
        for (const input of inputs) context.print(`  from ${nameOfPath(input)}`);
        for (const url of urls ?? []) context.print(`  fetched ${url}`);
        if (sha256) context.print(`  sha256 ${sha256}`);
      }
    }
    return undefined;
  },
};
