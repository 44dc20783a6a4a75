import { randomBytes } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { failure } from "../../base/error.ts";
import { inOrderOfNeed } from "../../store/copy-items.ts";
import { exportItems, importItems } from "../../store/export-items.ts";
import { makeCacheKey } from "../../store/narinfo.ts";
import { isItemName } from "../../store/store-path.ts";
import { repairItem } from "../../store/substitute.ts";
import { cacheOptions, chosenCaches } from "../cache-options.ts";
import { type Command, type CommandContext, exitCodes } from "../command.ts";
import { storeSession } from "../store-session.ts";

export const storeVerify: Command = {
  positionals: "[PATH…]",
  minimumPositionals: 0,
  maximumPositionals: 10_000,
  options: {
    repair: { type: "boolean", description: "fetch what is damaged anew, from caches that have the same contents" },
    ...cacheOptions,
  },
  examples: ["store verify", "store verify ./result", "store verify --repair"],
  details:
    "Reads items (all, unless PATH names some) and compares them with the hashes under which they were registered. Ends with\n" +
    "1 when one is damaged. Machines' candidates are tried with meso verify.",
  run: async (context) => {
    const { store, items, named } = storeSession(context);
    const paths = context.positionals.map((said) => named(said).path);
    let problems = items.verify(paths.length > 0 ? paths : undefined);
    const repaired: string[] = [];
    if (context.options.repair === true && problems.length > 0) {
      const caches = chosenCaches(context, store);
      for (const { path } of problems) {
        const isRepaired = await repairItem(store, items, caches, path, {
          signal: context.signal,
          onTrouble: (trouble) => context.report({ stage: "repair", text: trouble.message, seconds: 0 }),
        });
        if (isRepaired) repaired.push(path);
      }
      problems = items.verify(problems.map(({ path }) => path));
    }
    if (context.json) context.print(JSON.stringify({ problems, repaired }, undefined, 2));
    else {
      for (const path of repaired) context.print(`${path}: fetched anew`);
      for (const { path, problem } of problems) context.print(`${path}: ${problem}`);
      const count = paths.length > 0 ? paths.length : [...items.all()].length;
      context.print(`${count} items looked at, ${problems.length} damaged`);
    }
    return problems.length > 0 ? exitCodes.failure : exitCodes.success;
  },
};

export const storeKey: Command = {
  positionals: "NAME FILE",
  minimumPositionals: 2,
  maximumPositionals: 2,
  options: {},
  examples: ["store key centre-1 /etc/meso/cache.key"],
  details:
    "Writes a new secret key into FILE, which only its owner may read, and prints the public key, for meso caches add on\n" +
    "other hosts. The name is part of each signature: a host's or centre's, with a number for the next key.",
  run: async (context) => {
    const [name, file] = context.positionals as [string, string];
    if (!/^[A-Za-z0-9._-]+$/.test(name)) {
      throw failure("usage", `found the name ${JSON.stringify(name)}`, { expected: "letters, digits, . _ -" });
    }
    if (existsSync(file)) throw failure("file-exists", `${file} is there already`, { hint: "choose another name" });
    const key = makeCacheKey(name, randomBytes(32));
    writeFileSync(file, `${key.secret}\n`, { mode: 0o600, flag: "wx", flush: true });
    context.print(context.json ? JSON.stringify({ public: key.public }) : key.public);
    return undefined;
  },
};

export const storeExport: Command = {
  positionals: "[PATH…]",
  minimumPositionals: 0,
  maximumPositionals: 10_000,
  options: {},
  examples: ["store export ./result > pmix.items"],
  details:
    "Writes items on standard output, as nix-store --export does. With PATH, everything that those need too; without, the\n" +
    "items whose paths standard input names, and no others.",
  run: async (context) => {
    const { items, named } = storeSession(context);
    const listed = context.positionals.length > 0 ? [] : await pathsOfInput();
    const paths = [...context.positionals, ...listed].map((said) => named(said).path);
    await items.hold(paths);
    const wanted = new Set(paths);
    const records = inOrderOfNeed(items, paths).filter(({ path }) => listed.length === 0 || wanted.has(path));
    await pipeline(Readable.from(exportItems(items, records)), process.stdout);
    return undefined;
  },
};

export const storeImport: Command = {
  positionals: "",
  minimumPositionals: 0,
  maximumPositionals: 0,
  options: {},
  examples: ["store import < pmix.items"],
  details:
    "Takes items from standard input, as meso store export and nix-store --export write them. Who sends is trusted.",
  run: async (context) => {
    const { store, items } = storeSession(context);
    const taken = await importItems(store, items, process.stdin);
    printPaths(context, taken);
    return undefined;
  },
};

export const storeMissing: Command = {
  positionals: "[PATH…]",
  minimumPositionals: 0,
  maximumPositionals: 10_000,
  options: {},
  examples: ["store missing < paths"],
  details: "Prints those of the paths (of standard input, unless PATH names some) that are not in the store.",
  run: async (context) => {
    const { items } = storeSession(context);
    const said = context.positionals.length > 0 ? context.positionals : await pathsOfInput();
    const paths = said.map((path) => `${items.prefix}/${itemName(path)}`);
    printPaths(
      context,
      paths.filter((path) => !items.record(path)),
    );
    return undefined;
  },
};

export const storeClosure: Command = {
  positionals: "[PATH…]",
  minimumPositionals: 0,
  maximumPositionals: 10_000,
  options: {},
  examples: ["store closure ./result"],
  details: "Prints the paths (of standard input, unless PATH names some) and all that they need, what is needed first.",
  run: async (context) => {
    const { items, named } = storeSession(context);
    const said = context.positionals.length > 0 ? context.positionals : await pathsOfInput();
    const records = inOrderOfNeed(
      items,
      said.map((path) => named(path).path),
    );
    printPaths(
      context,
      records.map(({ path }) => path),
    );
    return undefined;
  },
};

function printPaths({ json, print }: CommandContext, paths: readonly string[]): void {
  if (json) print(JSON.stringify(paths, undefined, 2));
  else for (const path of paths) print(path);
}

async function pathsOfInput(): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of createInterface({ input: process.stdin })) if (line !== "") lines.push(line);
  return lines;
}

function itemName(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (isItemName(name)) return name;
  throw failure("bad-store-path", `${JSON.stringify(path)} is no path of an item`);
}
