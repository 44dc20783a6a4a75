import { appendFileSync, mkdirSync, renameSync } from "node:fs";
import { basename, join } from "node:path";
import { failure, MesoError } from "../base/error.ts";
import type { FinishedBuild } from "./build-derivation.ts";
import type { Derivation } from "./derivation.ts";
import type { Items } from "./items.ts";
import { removeTree } from "./remove-tree.ts";
import type { Store } from "./store.ts";

/**
 * A builder that is part of this program, for the few things that no sandbox can do: fetching, and what comes before the
 * first tool. A derivation asks for it by the builder `builtin:NAME`.
 */
export type Builtin = (job: BuiltinJob) => Promise<void>;

export interface BuiltinJob {
  readonly store: Store;
  readonly items: Items;
  readonly derivation: Derivation;
  /** Where the output of this name is to be written: nothing is there yet. */
  readonly place: (output: string) => string;
  /** A folder of its own, removed afterwards. */
  readonly work: string;
  /** Writes a line into the log of the build. */
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

export type Builtins = ReadonlyMap<string, Builtin>;

const prefix = "builtin:";

export function isBuiltin({ builder }: Derivation): boolean {
  return builder.startsWith(prefix);
}

/**
 * Runs the builtin that a derivation asks for.
 *
 * @throws MesoError `unknown-builtin`; what the builtin throws, with the derivation's path.
 */
export async function runBuiltin(
  store: Store,
  items: Items,
  path: string,
  derivation: Derivation,
  inputs: readonly string[],
  options: { readonly builtins?: Builtins; readonly signal?: AbortSignal; readonly logFolder: string },
): Promise<FinishedBuild> {
  const builtin = options.builtins?.get(derivation.builder.slice(prefix.length));
  if (!builtin) {
    throw failure("unknown-builtin", `${path} asks for the builder ${derivation.builder}`, {
      expected: [...(options.builtins?.keys() ?? [])].map((name) => `${prefix}${name}`).join(", ") || "a program",
    });
  }
  const scratch = store.temporaryPath();
  const [made, work] = [join(scratch, "made"), join(scratch, "work")];
  for (const folder of [made, work]) mkdirSync(folder, { recursive: true });
  const asideLog = store.temporaryPath();
  const log = join(options.logFolder, `${basename(path)}.log`);
  const outputPlace = (output: string) => join(made, basename(output));
  try {
    appendFileSync(asideLog, "");
    await builtin({
      store,
      items,
      derivation,
      work,
      place: (name) => outputPlace(derivation.outputs.get(name)!.path),
      say: (line) => appendFileSync(asideLog, `${line}\n`),
      signal: options.signal ?? new AbortController().signal,
    });
    renameSync(asideLog, log);
    return { outputPlace, inputs, log, dispose: () => removeTree(scratch) };
  } catch (error) {
    for (const rest of [scratch, asideLog]) removeTree(rest);
    if (!(error instanceof MesoError)) throw error;
    const problems = error.problems.map((problem) => ({ ...problem, what: `${path}: ${problem.what}` }));
    throw new MesoError(problems, { cause: error });
  }
}
