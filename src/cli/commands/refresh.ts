import { execFile } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { promisify } from "node:util";
import { failure, MesoError } from "../../base/error.ts";
import { openPackages } from "../../build/open-packages.ts";
import { sourceLookUp } from "../../build/package-graph.ts";
import { createFetcher } from "../../debian/fetch.ts";
import { readMirrors } from "../../debian/mirror.ts";
import { upstreamVersion } from "../../debian/source-index.ts";
import { type Channel, channel } from "../../language/channel.ts";
import { addressesOf, download, proxyOfVariables } from "../../packages/builtins/fetch-url.ts";
import { originOf } from "../../packages/lower-package.ts";
import { newestAbove, versionsInListing, versionsOfTags } from "../../packages/newer-version.ts";
import type { GitOrigin, UrlOrigin } from "../../packages/origin.ts";
import type { SourcePackage } from "../../packages/source-package.ts";
import type { Store } from "../../store/store.ts";
import { type Command, type CommandContext, exitCodes, programOptions } from "../command.ts";
import { programSession } from "../program-session.ts";

interface Newer {
  readonly name: string;
  readonly version: string;
  readonly newer?: string;
  /** Where it was seen; or why nothing could be looked at. */
  readonly where: string;
  readonly failed?: true;
}

export const refreshCommand: Command = {
  positionals: "PACKAGE…",
  minimumPositionals: 1,
  maximumPositionals: 100,
  options: {
    lock: programOptions.lock,
    suite: { type: "string", placeholder: "NAME", description: "look into this suite of Debian too: sid" },
  },
  examples: ["refresh packages.ts", "refresh hwloc --suite sid"],
  details:
    "Tells which packages have a newer version: of a Debian source, in its channels; of an address, in the folder that the\n" +
    "address is in; of a git repository, among its tags. Changes nothing: a version is two words in the program.",
  async run(context) {
    const opened = await Promise.all(context.positionals.map((wish) => openPackages(wish)));
    const packages = [...new Set(opened.flatMap((one) => [...one.packages.values()]))];
    const session = programSession(context, opened[0]!.file);
    const lookUp = sourceLookUp(session);
    const { suite } = context.options;
    const others = typeof suite === "string" ? [channel({ suite, security: false, updates: false })] : [];
    const found: Newer[] = [];
    for (const one of packages) found.push(await look(one));
    if (context.json) context.print(JSON.stringify(found, undefined, 2));
    for (const { name, version, newer, where, failed } of context.json ? [] : found) {
      if (newer !== undefined) context.print(`${name} ${version}: ${newer} ${where}`);
      else if (failed || context.verbose)
        context.print(`${name} ${version}: ${failed ? where : `nothing newer ${where}`}`);
    }
    if (!context.json && found.every((one) => one.newer === undefined && !one.failed))
      context.print("nothing is newer");
    return found.some(({ failed }) => failed) ? exitCodes.failure : exitCodes.success;

    async function look(one: SourcePackage): Promise<Newer> {
      const { name, version } = one;
      try {
        const origin = originOf(one);
        if (origin?.kind === "debian-source") {
          const channels: readonly Channel[] = [...(origin.channels ?? [one.channel]), ...others];
          const all = await lookUp(origin.name, channels);
          return told(
            all.map((source) => upstreamVersion(source.version)),
            `in ${channels.map((it) => it.suite).join(", ")}`,
          );
        }
        if (origin?.kind === "url") return told(...(await listed(session.store, context.signal, origin, version)));
        if (origin?.kind === "git")
          return told(versionsOfTags(await tags(origin, context)), `among the tags of ${origin.url}`);
        return { name, version, where: "in nothing: its source is beside the program" };
      } catch (error) {
        if (!(error instanceof MesoError)) throw error;
        return { name, version, where: error.problems[0]!.what, failed: true };
      }

      function told(candidates: readonly string[], where: string): Newer {
        const newer = newestAbove(version, candidates);
        return { name, version, ...(newer !== undefined && { newer }), where };
      }
    }
  },
};

async function listed(
  store: Store,
  signal: AbortSignal,
  origin: UrlOrigin,
  version: string,
): Promise<[readonly string[], string]> {
  const folder = new URL(".", origin.urls[0]!).href;
  const aside = store.temporaryPath();
  try {
    const fetcher = createFetcher({ proxy: proxyOfVariables(), signal });
    await download(fetcher, addressesOf(folder, readMirrors), undefined, aside);
    return [versionsInListing(readFileSync(aside, "utf8"), origin.fileName, version), `in ${folder}`];
  } finally {
    rmSync(aside, { force: true });
  }
}

async function tags({ url }: GitOrigin, { signal }: CommandContext): Promise<string> {
  try {
    const env = { ...process.env, GIT_TERMINAL_PROMPT: "0", LC_ALL: "C" };
    const options = { env, signal, timeout: 60_000, maxBuffer: 64 * 1024 * 1024 };
    return (await promisify(execFile)("git", ["ls-remote", "--tags", "--", url], options)).stdout;
  } catch (error) {
    signal.throwIfAborted();
    throw failure(
      "not-fetched",
      `${url} tells no tags: ${(error as Error).message.split("\n").at(-2) ?? ""}`,
      {},
      error,
    );
  }
}
