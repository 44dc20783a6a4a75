import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Derivation, derivationPath, printDerivation, withOutputPaths } from "./derivation.ts";
import { type Items, openItems } from "./items.ts";
import { readDerivation } from "./realise.ts";
import { removeTree } from "./remove-tree.ts";
import { openStore, type Store } from "./store.ts";
import { hostTree } from "./tool-root.testing.ts";
import { toolRoot } from "./tool-root.ts";

const tools = ["sh", "cat", "chmod", "date", "ls", "mkdir", "nproc", "sleep"].map((name) => `/usr/bin/${name}`);

/** A derivation that runs a script with a few tools of the host: its path. */
export type Script = (name: string, text: string, more?: Partial<Derivation>) => Promise<string>;

export interface BuildPlace {
  readonly store: Store;
  readonly items: Items;
  readonly folder: string;
  readonly script: Script;
  readonly outputOf: (derivation: string, name?: string) => string;
}

/** A store of its own for what a test builds; gone afterwards. */
export async function withBuildPlace(body: (place: BuildPlace) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "meso-build-"));
  try {
    const store = openStore(join(folder, "store"));
    const items = openItems(store);
    const script = scripts(items, await addTools(items, folder));
    const outputOf = (path: string, name = "out") => readDerivation(items, path).outputs.get(name)!.path;
    await body({ store, items, folder, script, outputOf });
  } finally {
    removeTree(folder);
  }
}

/** The tools as an item: its path. */
export async function addTools(items: Items, folder: string): Promise<string> {
  const { tree, read } = await hostTree(tools);
  const host = await toolRoot({ tree, read, binaries: tools, cacheDirectory: join(folder, "tools") });
  return items.addTree("tools", host.directory);
}

/** What makes derivations in a store that has the tools. */
export function scripts(items: Items, root: string): Script {
  return async (name, text, more = {}) => {
    const derivation = withOutputPaths(
      name,
      {
        outputs: new Map([["out", { path: "" }]]),
        inputDerivations: new Map(),
        inputSources: [root],
        system: "x86_64-linux",
        builder: "/usr/bin/sh",
        arguments: ["-e", "-c", text],
        environment: new Map([["sandboxRoot", root]]),
        ...more,
      },
      (path) => readDerivation(items, path),
    );
    const needed = [...derivation.inputDerivations.keys(), ...derivation.inputSources];
    const path = await items.addText(`${name}.drv`, printDerivation(derivation), needed);
    assert.equal(path, derivationPath(name, derivation));
    return path;
  };
}
