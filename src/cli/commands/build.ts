import { formatBytes } from "../../base/progress.ts";
import { packageBuiltins } from "../../packages/builtins/index.ts";
import { checkReproducible } from "../../store/realise.ts";
import { nameOfPath } from "../../store/store-path.ts";
import { type Command, type CommandContext, programOptions } from "../command.ts";
import { checkRoot, holdMainOutput, makeDerivations, makeOptions, planDerivations } from "../make-derivations.ts";
import { type NamedPackages, namedPackages } from "../package-words.ts";
import { storeSession } from "../store-session.ts";

export const buildCommand: Command = {
  positionals: "PACKAGE…",
  minimumPositionals: 1,
  maximumPositionals: 100,
  options: {
    ...programOptions,
    ...makeOptions,
    check: { type: "boolean", description: "build once more what is there already, and compare" },
  },
  examples: ["build examples/packages/packages.ts#hello --root result", "build --check packages.ts", "build -n hello"],
  details:
    "Makes packages and whatever they need and the store lacks: fetched from the caches that have it, else built from\n" +
    "source, each in a sandbox that sees nothing but what it declares. Prints where they are. PACKAGE is a FILE (all it\n" +
    "exports), FILE#NAME, or a NAME of the nearest packages.ts.",
  async run(context) {
    const prepared = await namedPackages(context, context.positionals);
    const { items, wanted } = prepared;
    checkRoot(context, wanted);
    if (context.options["dry-run"]) return void (await printPlan(context, prepared));
    const session = storeSession(context);
    const derivations = wanted.map(({ path }) => path);
    const reports = await makeDerivations(context, session, derivations, packageBuiltins);
    if (context.options.check) {
      for (const path of derivations) {
        context.report({ stage: "check", text: nameOfPath(path) });
        await checkReproducible(session.store, items, path, { builtins: packageBuiltins, signal: context.signal });
      }
    }
    const outputs = wanted.flatMap(({ derivation }) =>
      [...derivation.outputs].map(([name, one]) => ({ name, ...one })),
    );
    await holdMainOutput(context, session, outputs);
    if (context.json) {
      const told = outputs.map(({ path }) => ({ path, place: items.physicalPath(path), ...items.record(path) }));
      return void context.print(JSON.stringify({ outputs: told, builds: reports }, undefined, 2));
    }
    if (context.verbose) {
      for (const one of reports) {
        context.print(`built ${nameOfPath(one.derivation)} in ${one.seconds.toFixed(1)} s, ${formatBytes(one.bytes)}`);
      }
    }
    for (const { path } of outputs) context.print(items.physicalPath(path));
    return undefined;
  },
};

/** What caches have, what comes from archives and other origins, what is built: in the order in which it is needed. */
async function printPlan(context: CommandContext, { graph, wanted }: NamedPackages): Promise<void> {
  const derivations = wanted.map(({ path }) => path);
  const plan = await planDerivations(context, storeSession(context), derivations);
  const isFetch = (path: string) => graph.read(path).builder.startsWith("builtin:fetch");
  const [fetch, build] = [plan.build.filter(isFetch), plan.build.filter((path) => !isFetch(path))];
  const substitute = plan.fetch.map(({ storePath, narSize, fileSize }) => ({
    path: storePath,
    bytes: fileSize ?? narSize,
  }));
  if (context.json) return context.print(JSON.stringify({ substitute, fetch, build }, undefined, 2));
  for (const { path, bytes } of substitute) context.print(`take  ${nameOfPath(path)}, ${formatBytes(bytes)}`);
  for (const path of context.verbose ? fetch : []) context.print(`fetch ${nameOfPath(path)}`);
  for (const path of build) context.print(`build ${nameOfPath(path)}`);
  context.print(`${substitute.length} to take from caches, ${fetch.length} to fetch, ${build.length} to build`);
}
