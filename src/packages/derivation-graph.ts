import { assert } from "../base/error.ts";
import { type Derivation, derivationPath, printDerivation, withOutputPaths } from "../store/derivation.ts";
import type { Items } from "../store/items.ts";

/** Derivations by path, each after its inputs: a pure value until it is written into a store. */
export interface DerivationGraph {
  readonly derivations: ReadonlyMap<string, GraphNode>;
  /** Adds a derivation whose inputs are in the graph; its output paths are filled in. */
  add(name: string, draft: DraftDerivation): GraphNode;
  read(path: string): Derivation;
}

export interface GraphNode {
  readonly name: string;
  readonly path: string;
  readonly derivation: Derivation;
  /** Path of an output. */
  out(output?: string): string;
}

/** What differs from derivation to derivation. */
export interface DraftDerivation {
  readonly outputs?: Derivation["outputs"];
  readonly inputs?: readonly { readonly node: GraphNode; readonly outputs?: readonly string[] }[];
  readonly sources?: readonly string[];
  readonly builder: string;
  readonly arguments?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

export function derivationGraph(system: string): DerivationGraph {
  const derivations = new Map<string, GraphNode>();
  const read = (path: string): Derivation => {
    const known = derivations.get(path);
    assert(known, `${path} is in the graph`);
    return known.derivation;
  };
  return {
    derivations,
    read,
    add(name, draft) {
      const inputs = new Map<string, string[]>();
      for (const { node, outputs = ["out"] } of draft.inputs ?? []) {
        inputs.set(node.path, [...new Set([...(inputs.get(node.path) ?? []), ...outputs])]);
      }
      const derivation = withOutputPaths(
        name,
        {
          outputs: draft.outputs ?? new Map([["out", { path: "" }]]),
          inputDerivations: inputs,
          inputSources: [...new Set(draft.sources ?? [])],
          system,
          builder: draft.builder,
          arguments: draft.arguments ?? [],
          environment: new Map(Object.entries({ name, ...draft.environment })),
        },
        read,
      );
      const path = derivationPath(name, derivation);
      const node: GraphNode = {
        name,
        path,
        derivation,
        out(output = "out") {
          const found = derivation.outputs.get(output);
          assert(found, `${name} has an output ${output}`);
          return found.path;
        },
      };
      const known = derivations.get(path);
      if (known) return known;
      derivations.set(path, node);
      return node;
    },
  };
}

/** Makes every derivation of the graph an item of the store. */
export async function addGraph(items: Items, { derivations }: DerivationGraph): Promise<void> {
  for (const { name, path, derivation } of derivations.values()) {
    if (items.record(path)) continue;
    const references = [...derivation.inputDerivations.keys(), ...derivation.inputSources];
    const added = await items.addText(`${name}.drv`, printDerivation(derivation), references);
    assert(added === path, `${name}.drv lies where it was said to lie`);
  }
}

/** A foreign name as one that may stand in a store path. */
export function storeName(text: string): string {
  return text
    .replace(/[^0-9A-Za-z+\-._?=]/g, "_")
    .replace(/^\./, "_")
    .slice(0, 180);
}
