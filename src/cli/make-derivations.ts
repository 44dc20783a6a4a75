import { availableParallelism } from "node:os";
import { failure } from "../base/error.ts";
import { toldSubstituter } from "../build/told-substituter.ts";
import type { Builtins } from "../store/builtin.ts";
import { planRealise, type RealisePlan } from "../store/plan-realise.ts";
import { type BuildReport, realise } from "../store/realise.ts";
import { addLinkRoot } from "../store/roots.ts";
import { nameOfPath } from "../store/store-path.ts";
import type { Substituter } from "../store/substitute.ts";
import { cacheOptions, chosenCaches } from "./cache-options.ts";
import type { CommandContext } from "./command.ts";
import type { StoreSession } from "./store-session.ts";

/** Options of the commands that make what derivations say. */
export const makeOptions = {
  ...cacheOptions,
  "no-caches": { type: "boolean", description: "build here what caches may have" },
  jobs: { type: "string", short: "j", placeholder: "NUMBER", description: "builds at once (default: one a processor)" },
  root: { type: "string", short: "r", placeholder: "FILE", description: "make this link to the output: it holds it" },
  "keep-failed": { type: "boolean", description: "keep the folders of a build that fails, and a way to enter them" },
} as const;

/** @throws MesoError `usage` when `--root`, which is one link, is said for several things. */
export function checkRoot({ options }: CommandContext, wanted: readonly unknown[]): void {
  if (options.root === undefined || wanted.length < 2) return;
  throw failure("usage", "--root makes one link, and there is more to make than one thing", {
    hint: "make one after the other",
  });
}

/** Makes the link of `--root`, if that is said, to the main one of the outputs. */
export async function holdMainOutput(
  { options }: CommandContext,
  { store, items }: StoreSession,
  outputs: readonly { readonly name: string; readonly path: string }[],
): Promise<void> {
  if (typeof options.root !== "string") return;
  const main = outputs.find(({ name }) => name === "out") ?? outputs[0]!;
  await addLinkRoot(store, items, options.root, main.path);
}

/** Fetches or builds the outputs of derivations, telling what it does; `makeOptions` are those of the command. */
export async function makeDerivations(
  context: CommandContext,
  session: StoreSession,
  derivations: readonly string[],
  builtins?: Builtins,
): Promise<readonly BuildReport[]> {
  const { store, items } = session;
  const { signal, report, options } = context;
  const jobs = parseJobs(options.jobs);
  const substituter = substituterOf(context, session);
  return realise(store, items, derivations, {
    parallel: jobs,
    signal,
    keepFailed: options["keep-failed"] === true,
    onWait: (text) => report({ stage: "build", text }),
    onBuild: (path) => report({ stage: "build", text: nameOfPath(path) }),
    ...(substituter && { substitute: substituter.substitute }),
    ...(builtins && { builtins }),
  });
}

/** What `makeDerivations` would do. */
export function planDerivations(
  context: CommandContext,
  session: StoreSession,
  derivations: readonly string[],
): Promise<RealisePlan> {
  const substituter = substituterOf(context, session);
  return planRealise(session.items, derivations, substituter ? substituter.wouldFetch : async () => []);
}

function substituterOf(context: CommandContext, { store, items }: StoreSession): Substituter | undefined {
  const { report, signal, options } = context;
  const caches = options["no-caches"] === true ? [] : chosenCaches(context, store);
  return caches.length === 0 ? undefined : toldSubstituter({ store, report, signal }, items, caches);
}

function parseJobs(said: CommandContext["options"][string]): number {
  if (typeof said !== "string") return availableParallelism();
  if (/^[1-9]\d{0,3}$/.test(said)) return Number(said);
  throw failure("usage", `found ${JSON.stringify(said)} for --jobs`, { expected: "a number of builds" });
}
