import { formatBytes } from "../../base/progress.ts";
import { closureSizes, referrersOf, whyItemStays } from "../../store/item-graph.ts";
import type { Command } from "../command.ts";
import { storeSession } from "../store-session.ts";

export const size: Command = {
  positionals: "PATH…",
  minimumPositionals: 1,
  maximumPositionals: 1000,
  options: {},
  examples: ["size ./result", "size /meso/store/…-slurm-wlm-24.11.5"],
  details: "For each item that PATH needs: what it weighs alone, and with everything that it needs itself.",
  run: async (context) => {
    const { items, named } = storeSession(context);
    const sizes = closureSizes(
      items,
      context.positionals.map((said) => named(said).path),
    );
    const total = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
    if (context.json) return void context.print(JSON.stringify({ items: sizes, bytes: total }, undefined, 2));
    const width = Math.max(...sizes.map(({ path }) => path.length));
    context.print(`${"".padEnd(width)}  ${"alone".padStart(8)}  ${"with all".padStart(8)}`);
    for (const { path, bytes, closureBytes } of sizes) {
      const cells = [bytes, closureBytes].map((count) => formatBytes(count).padStart(8));
      context.print(`${path.padEnd(width)}  ${cells.join("  ")}`);
    }
    context.print(`total: ${sizes.length} items, ${formatBytes(total)}`);
    return undefined;
  },
};

export const referrers: Command = {
  positionals: "PATH",
  minimumPositionals: 1,
  maximumPositionals: 1,
  options: { all: { type: "boolean", short: "a", description: "also what refers to those, and so on" } },
  examples: ["referrers ./result", "referrers --all /meso/store/…-libevent-2.1.12"],
  run: async (context) => {
    const { items, named } = storeSession(context);
    const found = referrersOf(items, named(context.positionals[0]!).path, context.options.all === true);
    if (context.json) return void context.print(JSON.stringify(found, undefined, 2));
    for (const path of found) context.print(path);
    return undefined;
  },
};

export const why: Command = {
  positionals: "PATH",
  minimumPositionals: 1,
  maximumPositionals: 1,
  options: {},
  examples: ["why /meso/store/…-pmix-4.2.9"],
  details: "Tells what keeps an item from being collected: each root, with a shortest way from it to the item.",
  run: async (context) => {
    const { store, items, named } = storeSession(context);
    const { path } = named(context.positionals[0]!);
    const ways = whyItemStays(store, items, path, { now: Math.floor(Date.now() / 1000), graceSeconds: 3600 });
    if (context.json) {
      const told = ways.map(({ holder: { name, kind }, way }) => ({ name, kind, way }));
      return void context.print(JSON.stringify(told, undefined, 2));
    }
    for (const { holder, way } of ways) {
      context.print(`${holder.name}`);
      for (const [depth, step] of way.entries()) context.print(`${"  ".repeat(depth + 1)}${step}`);
    }
    if (ways.length === 0) context.print("nothing holds it: the next collection takes it");
    return undefined;
  },
};
