import type { SourceLocation } from "../base/location.ts";
import { compareBytes } from "../base/order.ts";
import type { OperatingSystem } from "../language/operating-system.ts";
import { locationOf } from "../language/record.ts";
import { essentialServices, isEssential } from "./essential.ts";
import { connectServices } from "./fold.ts";

/** Services of a system and who extends whom. */
export interface ServiceGraph {
  /** Sorted by name. */
  readonly nodes: readonly ServiceNode[];
  /** Sorted, each once. */
  readonly edges: readonly { readonly from: string; readonly to: string }[];
}

export interface ServiceNode {
  readonly name: string;
  readonly description: string;
  /** `listed` by the operating system, `essential` to every one, or made up by `default` since another extends it. */
  readonly kind: "listed" | "essential" | "default";
  readonly where?: SourceLocation;
}

/** The graph of a system's services; mistakes in it are left for `lowerSystem` to tell. */
export function serviceGraph(os: OperatingSystem): ServiceGraph {
  const { services } = connectServices([...essentialServices(os), ...os.services]);
  const edges = new Map<string, { from: string; to: string }>();
  const nodes = services.map(({ service, isDefault, extensions }): ServiceNode => {
    const where = locationOf(service);
    for (const { target } of extensions) {
      edges.set(`${service.name} ${target.name}`, { from: service.name, to: target.name });
    }
    return {
      name: service.name,
      description: service.type.description,
      kind: isDefault ? "default" : isEssential(service) ? "essential" : "listed",
      ...(where && { where }),
    };
  });
  return {
    nodes,
    edges: [...edges.values()].sort((a, b) => compareBytes(a.from, b.from) || compareBytes(a.to, b.to)),
  };
}

/** The graph in the language of Graphviz: `meso system graph FILE | dot -Tsvg`. */
export function renderGraphviz({ nodes, edges }: ServiceGraph): string {
  const shapes = { listed: "box", essential: "ellipse", default: "ellipse, style=dashed" };
  return [
    "digraph services {",
    "  rankdir=LR;",
    ...nodes.map(({ name, kind, description }) => {
      return `  ${quoted(name)} [shape=${shapes[kind]}, tooltip=${quoted(description)}];`;
    }),
    ...edges.map(({ from, to }) => `  ${quoted(from)} -> ${quoted(to)};`),
    "}",
    "",
  ].join("\n");
}

/** The graph as a Mermaid flow chart, which forges show in Markdown. */
export function renderMermaid({ nodes, edges }: ServiceGraph): string {
  const ids = new Map(nodes.map(({ name }, index) => [name, `s${index}`]));
  return [
    "flowchart LR",
    ...nodes.map(({ name, kind }) => {
      const label = `"${name.replaceAll('"', "#quot;")}"`;
      return `  ${ids.get(name)}${kind === "listed" ? `[${label}]` : `(${label})`}`;
    }),
    ...edges.map(({ from, to }) => `  ${ids.get(from)} --> ${ids.get(to)}`),
    "",
  ].join("\n");
}

function quoted(value: string): string {
  return `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}
