import { failure } from "../../base/error.ts";
import { openSystem } from "../../build/open-system.ts";
import { renderGraphviz, renderMermaid, serviceGraph } from "../../system/graph.ts";
import type { Command } from "../command.ts";

const formats = { graphviz: renderGraphviz, mermaid: renderMermaid } as const;

export const systemGraph: Command = {
  positionals: "FILE",
  minimumPositionals: 1,
  maximumPositionals: 1,
  options: {
    format: {
      type: "string",
      placeholder: "graphviz|mermaid",
      description: "notation of the graph (default: graphviz)",
    },
  },
  examples: [
    "system graph examples/mini-1.ts | dot -Tsvg > mini-1.svg",
    "system graph --format mermaid examples/mini-1.ts",
  ],
  async run(context) {
    const graph = serviceGraph(await openSystem(context.positionals[0]!));
    if (context.json) return void context.print(JSON.stringify(graph, undefined, 2));
    const format = context.options.format ?? "graphviz";
    const render = Object.hasOwn(formats, String(format)) ? formats[format as keyof typeof formats] : undefined;
    if (!render) {
      throw failure("usage", `found the format ${JSON.stringify(format)}`, {
        expected: Object.keys(formats).join(" or "),
      });
    }
    context.print(render(graph).trimEnd());
    return undefined;
  },
};
