import { copyFileSync } from "node:fs";
import { resolve } from "node:path";
import { createFetcher } from "../../debian/fetch.ts";
import { readMirrors } from "../../debian/mirror.ts";
import { addressesOf, download, proxyOfVariables } from "../../packages/builtins/fetch-url.ts";
import { storeName } from "../../packages/derivation-graph.ts";
import { sha256Forms } from "../../packages/hash-text.ts";
import { openItems } from "../../store/items.ts";
import { fixedOutputPath } from "../../store/store-path.ts";
import type { Command } from "../command.ts";
import { folderSession } from "../program-session.ts";

export const downloadCommand: Command = {
  positionals: "URL",
  minimumPositionals: 1,
  maximumPositionals: 1,
  options: {
    output: { type: "string", short: "o", placeholder: "FILE", description: "also write it to this file" },
  },
  examples: ["download https://example.org/hello-2.12.tar.gz"],
  details: "Fetches a file into the store, where a build that wants it finds it, and prints its path and hash.",
  async run(context) {
    const [url] = context.positionals as [string];
    const { output } = context.options;
    const { store } = folderSession(context);
    const items = openItems(store);
    const fetcher = createFetcher({ proxy: proxyOfVariables(), signal: context.signal });
    const aside = store.temporaryPath();
    try {
      const digest = await download(fetcher, addressesOf(url, readMirrors), undefined, aside);
      if (typeof output === "string") copyFileSync(aside, resolve(output));
      const name = storeName(url.replace(/[?#].*$/, "").replace(/^.*\//, "") || "source");
      const path = fixedOutputPath(name, { recursive: false, algorithm: "sha256", digest });
      await items.register(path, aside, { mayReferTo: [] });
      const { sri } = sha256Forms(digest);
      const place = items.physicalPath(path);
      context.print(
        context.json ? JSON.stringify({ path, place, ...sha256Forms(digest) }, undefined, 2) : `${place}\n${sri}`,
      );
    } finally {
      fetcher.close();
    }
    return undefined;
  },
};
