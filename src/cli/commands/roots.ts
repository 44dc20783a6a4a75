import { failure } from "../../base/error.ts";
import { formatBytes } from "../../base/progress.ts";
import type { Items } from "../../store/items.ts";
import { addLinkRoot, addRoot, readRoots, removeRoot } from "../../store/roots.ts";
import { nameOfPath } from "../../store/store-path.ts";
import type { Command } from "../command.ts";
import { storeSession } from "../store-session.ts";

export const roots: Command = {
  positionals: "",
  minimumPositionals: 0,
  maximumPositionals: 0,
  options: {},
  examples: ["roots", "roots --json"],
  details: "What a collection never takes, with everything that it needs. A link or lock that is gone holds nothing.",
  run: async (context) => {
    const { store, items } = storeSession(context);
    const all = readRoots(store).map((root) => {
      const path = root.item === undefined ? undefined : `${items.prefix}/${root.item}`;
      const isValid = path !== undefined && items.record(path) !== undefined;
      const sizes = isValid ? closureBytes(items, path) : undefined;
      return { ...root, ...(path !== undefined && { path }), ...(sizes && { bytes: sizes }), isValid };
    });
    if (context.json) return void context.print(JSON.stringify(all, undefined, 2));
    for (const { name, kind, path, bytes, isGone } of all) {
      const held = kind === "lock" ? "the indices that it pins, and what they list" : (path ?? "nothing");
      const weight = bytes === undefined ? "" : ` (${formatBytes(bytes)} with what it needs)`;
      context.print(`${name}: ${isGone ? "gone; the next collection forgets it" : `holds ${held}${weight}`}`);
    }
    if (all.length === 0) context.print("no roots: a collection takes every item that no running command uses");
    return undefined;
  },
};

export const rootsAdd: Command = {
  positionals: "PATH",
  minimumPositionals: 1,
  maximumPositionals: 1,
  options: {
    name: { type: "string", placeholder: "NAME", description: "name of the root (default: that of the item)" },
    link: {
      type: "string",
      placeholder: "FILE",
      description: "make this link to the item: it holds while it is there",
    },
  },
  examples: ["roots add /meso/store/…-pmix-5.0.3 --name pmix", "roots add ./result --link /srv/pmix"],
  run: async (context) => {
    const { store, items, named } = storeSession(context);
    const { path } = named(context.positionals[0]!);
    const { name, link } = context.options;
    if (typeof link === "string" && typeof name === "string") {
      throw failure("usage", "--link and --name were both said", { expected: "one of them" });
    }
    if (typeof link === "string") await addLinkRoot(store, items, link, path);
    const called = typeof name === "string" ? name : nameOfPath(path);
    if (typeof link !== "string") await addRoot(store, items, called, path);
    const added = { name: typeof link === "string" ? link : called, path };
    context.print(context.json ? JSON.stringify(added, undefined, 2) : `${added.name} holds ${path}`);
    return undefined;
  },
};

export const rootsRemove: Command = {
  positionals: "NAME…",
  minimumPositionals: 1,
  maximumPositionals: 100,
  options: {},
  examples: ["roots remove pmix"],
  details: "Takes roots away. What they held stays until the next collection.",
  run: async (context) => {
    const { store } = storeSession(context);
    for (const name of context.positionals) {
      if (!removeRoot(store, name)) {
        const known = readRoots(store).map((root) => root.name);
        throw failure("no-such-root", `no root is named ${JSON.stringify(name)}`, {
          ...(known.length > 0 && { expected: known.join(", ") }),
        });
      }
    }
    if (context.json) context.print(JSON.stringify({ removed: context.positionals }, undefined, 2));
    return undefined;
  },
};

function closureBytes(items: Items, path: string): number {
  return items.closure([path]).reduce((sum, other) => sum + (items.record(other)?.narSize ?? 0), 0);
}
