import { failure } from "../../base/error.ts";
import { cacheSettings, writeCacheSettings } from "../../store/cache-settings.ts";
import type { Command } from "../command.ts";
import { storeSession } from "../store-session.ts";

export const caches: Command = {
  positionals: "",
  minimumPositionals: 0,
  maximumPositionals: 0,
  options: {},
  examples: ["caches"],
  details:
    "What is built is looked for in these first, in this order, and believed when one of its cache's keys has signed it.",
  run: async (context) => {
    const settings = cacheSettings(storeSession(context).store);
    if (context.json) return void context.print(JSON.stringify(settings, undefined, 2));
    for (const { address, keys } of settings) context.print(`${address} (${keys.join(", ")})`);
    if (settings.length === 0) context.print("no caches: everything is built here");
    return undefined;
  },
};

export const cachesAdd: Command = {
  positionals: "URL",
  minimumPositionals: 1,
  maximumPositionals: 1,
  options: {
    key: { type: "string", placeholder: "KEY", multiple: true, description: "public key, NAME:BASE64; again for more" },
    first: { type: "boolean", description: "prefer it to the others" },
  },
  examples: ["caches add http://cache-1:8090 --key centre-1:2OCcaUAgnbJFbEF4IbeeQuJgqfYdFpNMYHVbJhAewQA="],
  details: "A cache that is known already gets these keys, and its place.",
  run: async (context) => {
    const { store } = storeSession(context);
    const address = context.positionals[0]!;
    const keys = (context.options.key ?? []) as readonly string[];
    if (keys.length === 0) {
      throw failure("usage", "whose signatures are to be believed?", { expected: "--key NAME:BASE64, at least once" });
    }
    const others = cacheSettings(store).filter((one) => one.address !== address);
    const added = { address, keys };
    writeCacheSettings(store, context.options.first === true ? [added, ...others] : [...others, added]);
    if (context.json) context.print(JSON.stringify(added, undefined, 2));
    return undefined;
  },
};

export const cachesRemove: Command = {
  positionals: "URL",
  minimumPositionals: 1,
  maximumPositionals: 1,
  options: {},
  examples: ["caches remove http://cache-1:8090"],
  run: async (context) => {
    const { store } = storeSession(context);
    const address = context.positionals[0]!;
    const settings = cacheSettings(store);
    const others = settings.filter((one) => one.address !== address);
    if (others.length === settings.length) {
      throw failure("no-such-cache", `${address} is none of the store's caches`, {
        expected: settings.map((one) => one.address).join(", ") || "none is known",
      });
    }
    writeCacheSettings(store, others);
    if (context.json) context.print(JSON.stringify({ removed: address }, undefined, 2));
    return undefined;
  },
};
