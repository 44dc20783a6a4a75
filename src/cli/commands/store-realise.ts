import { failure } from "../../base/error.ts";
import { formatBytes } from "../../base/progress.ts";
import { checkReproducible, readDerivation } from "../../store/realise.ts";
import { type Command, exitCodes } from "../command.ts";
import { checkRoot, holdMainOutput, makeDerivations, makeOptions, planDerivations } from "../make-derivations.ts";
import { storeSession } from "../store-session.ts";

export const storeRealise: Command = {
  positionals: "DERIVATION…",
  minimumPositionals: 1,
  maximumPositionals: 1000,
  options: {
    ...makeOptions,
    check: { type: "boolean", description: "build once more what is there, and compare" },
    "dry-run": { type: "boolean", short: "n", description: "say what would be fetched and built, and stop" },
  },
  examples: ["store realise /meso/store/…-pmix-5.0.3.drv --root result", "store realise --dry-run /meso/store/…-x.drv"],
  details:
    "Makes the outputs of derivations that are in the store: fetched from the caches that have them, built in a sandbox\n" +
    "where none has. Prints their paths.",
  run: async (context) => {
    const session = storeSession(context);
    const { store, items, named } = session;
    const derivations = context.positionals.map((said) => {
      const { path } = named(said);
      if (!path.endsWith(".drv")) throw failure("no-derivation", `${path} is no derivation`, { expected: "….drv" });
      return path;
    });
    checkRoot(context, derivations);
    if (context.options["dry-run"] === true) {
      const { build, fetch } = await planDerivations(context, session, derivations);
      const sizes = fetch.map(({ storePath, narSize, fileSize }) => ({ path: storePath, bytes: fileSize ?? narSize }));
      if (context.json) context.print(JSON.stringify({ build, fetch: sizes }, undefined, 2));
      else {
        for (const { path, bytes } of sizes) context.print(`fetch ${path} (${formatBytes(bytes)})`);
        for (const path of build) context.print(`build ${path}`);
        if (sizes.length + build.length === 0) context.print("everything is there");
      }
      return exitCodes.success;
    }
    const reports = await makeDerivations(context, session, derivations);
    if (context.options.check === true) {
      for (const path of derivations) await checkReproducible(store, items, path, { signal: context.signal });
    }
    const outputs = derivations.flatMap((path) =>
      [...readDerivation(items, path).outputs].map(([name, output]) => ({ name, path: output.path })),
    );
    await holdMainOutput(context, session, outputs);
    if (context.json) context.print(JSON.stringify({ outputs, built: reports }, undefined, 2));
    else for (const { path } of outputs) context.print(path);
    return exitCodes.success;
  },
};
