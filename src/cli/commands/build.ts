import { failure } from "../../base/error.ts";
import { formatBytes } from "../../base/progress.ts";
import type { PreparedPackages } from "../../build/package-graph.ts";
import { packageBuiltins } from "../../packages/builtins/index.ts";
import { checkReproducible, type RealiseOptions, readDerivation, realise } from "../../store/realise.ts";
import { type Command, type CommandContext, programOptions } from "../command.ts";
import { namedPackages, nameOfPath } from "../package-words.ts";

export const buildCommand: Command = {
  positionals: "PACKAGE…",
  minimumPositionals: 1,
  maximumPositionals: 100,
  options: {
    ...programOptions,
    check: { type: "boolean", description: "build once more what is there already, and compare" },
    "keep-failed": { type: "boolean", description: "keep the folders of a build that fails, to look around in" },
    jobs: { type: "string", short: "j", placeholder: "N", description: "how many builds run at once (default: 1)" },
  },
  examples: ["build examples/packages/packages.ts#hello", "build --check packages.ts", "build -n hello"],
  details:
    "Builds packages from source, and whatever they need and the store lacks, each in a sandbox that sees nothing but\n" +
    "what it declares. PACKAGE is a FILE (all it exports), FILE#NAME, or a NAME of the nearest packages.ts.",
  async run(context) {
    const jobs = jobsOf(context);
    const prepared = await namedPackages(context, context.positionals);
    const { session, items, wanted } = prepared;
    if (context.options["dry-run"]) return void printPlan(context, prepared, new Set(wanted.map(({ path }) => path)));
    const options: RealiseOptions = {
      parallel: jobs,
      builtins: packageBuiltins,
      signal: context.signal,
      keepFailed: context.options["keep-failed"] === true,
      onWait: (text) => context.report({ stage: "wait", text }),
      onBuild: (path) => context.report({ stage: "build", text: nameOfPath(path) }),
    };
    const reports = await realise(
      session.store,
      items,
      wanted.map(({ path }) => path),
      options,
    );
    if (context.options.check) {
      for (const { path } of wanted) {
        context.report({ stage: "check", text: nameOfPath(path) });
        await checkReproducible(session.store, items, path, options);
      }
    }
    const outputs = wanted.flatMap(({ derivation }) => [...derivation.outputs.values()].map(({ path }) => path));
    if (context.json) {
      const told = outputs.map((path) => ({ path, place: items.physicalPath(path), ...items.record(path) }));
      context.print(JSON.stringify({ outputs: told, builds: reports }, undefined, 2));
      return undefined;
    }
    if (context.verbose) {
      for (const one of reports) {
        context.print(`built ${nameOfPath(one.derivation)} in ${one.seconds.toFixed(1)} s, ${formatBytes(one.bytes)}`);
      }
    }
    for (const path of outputs) context.print(items.physicalPath(path));
    return undefined;
  },
};

/** Derivations without outputs in the store, the wanted ones last. */
function printPlan(context: CommandContext, { graph, items }: PreparedPackages, wanted: ReadonlySet<string>): void {
  const isMissing = (path: string) =>
    [...readDerivation(items, path).outputs.values()].some((one) => !items.record(one.path));
  const missing = new Set<string>();
  const visit = (path: string): void => {
    if (missing.has(path) || !isMissing(path)) return;
    for (const input of graph.read(path).inputDerivations.keys()) visit(input);
    missing.add(path);
  };
  wanted.forEach(visit);
  const isFetch = (path: string) => graph.read(path).builder.startsWith("builtin:fetch");
  const [fetch, build] = [[...missing].filter(isFetch), [...missing].filter((path) => !isFetch(path))];
  if (context.json) context.print(JSON.stringify({ fetch, build }, undefined, 2));
  else {
    for (const path of context.verbose ? fetch : []) context.print(`fetch ${nameOfPath(path)}`);
    for (const path of build) context.print(`build ${nameOfPath(path)}`);
    context.print(`${fetch.length} to fetch, ${build.length} to build`);
  }
}

function jobsOf({ options }: CommandContext): number {
  const text = options.jobs ?? "1";
  if (typeof text === "string" && /^[1-9][0-9]{0,2}$/.test(text)) return Number(text);
  throw failure("bad-jobs", `found --jobs ${String(text)}`, { expected: "a number from 1 to 999" });
}
