import { lstatSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { failure } from "../base/error.ts";
import { type BuildOptions, buildDerivation, type FinishedBuild } from "./build-derivation.ts";
import { canonicaliseItem } from "./canonical-item.ts";
import type { Derivation, FixedHash } from "./derivation.ts";
import { fileSha256 } from "./file-hash.ts";
import { firstDifference } from "./first-difference.ts";
import type { Items } from "./items.ts";
import { limiter } from "./limiter.ts";
import { narHash } from "./nar.ts";
import { parseDerivation } from "./parse-derivation.ts";
import type { Store } from "./store.ts";

export interface RealiseOptions extends Omit<BuildOptions, "oneProcessor"> {
  /** How many builds may run at once; one unless given. */
  readonly parallel?: number;
  /** Tries to have outputs (paths) from elsewhere, before what they need is looked at: `Substituter.substitute`. */
  readonly substitute?: (paths: readonly string[]) => Promise<unknown>;
  /** Told when this process waits for another that does the same work. */
  readonly onWait?: (message: string) => void;
  /** Told of each build as it begins. */
  readonly onBuild?: (derivation: string) => void;
}

/** One build that this process ran. */
export interface BuildReport {
  readonly derivation: string;
  readonly log: string;
  readonly seconds: number;
  /** Of the archives of its outputs. */
  readonly bytes: number;
}

/**
 * Makes the outputs of derivations (paths of valid `.drv` items) valid, with whatever they need, side by side as far as
 * they do not wait for each other. What is there already is not built, nor looked behind. Processes that want the same
 * build share it: one builds, the others wait. After a failure nothing new is begun; what runs is ended in peace.
 *
 * @throws MesoError of the first build that failed; `hash-mismatch` for an output that is not what was fixed.
 */
export async function realise(
  store: Store,
  items: Items,
  derivations: readonly string[],
  options: RealiseOptions = {},
): Promise<readonly BuildReport[]> {
  const reports: BuildReport[] = [];
  const slot = limiter(options.parallel ?? 1);
  const known = new Map<string, Promise<void>>();
  let failed: { readonly error: unknown } | undefined;

  const make = (path: string): Promise<void> => {
    const before = known.get(path);
    if (before) return before;
    const fresh = makeOne(path);
    known.set(path, fresh);
    return fresh;
  };
  const makeOne = async (path: string): Promise<void> => {
    await items.hold([path]);
    const derivation = readDerivation(items, path);
    await items.hold(outputsOf(derivation));
    if (isMade(items, derivation)) return;
    if (options.substitute) {
      await options.substitute(outputsOf(derivation).filter((output) => !items.record(output)));
      if (isMade(items, derivation)) return;
    }
    await Promise.all([...derivation.inputDerivations.keys()].map(make));
    await slot(async () => {
      if (failed) throw failed.error;
      try {
        const report = await buildShared(store, items, path, derivation, options);
        if (report) reports.push(report);
      } catch (error) {
        failed ??= { error };
        throw error;
      }
    });
  };

  const wanted = await Promise.allSettled(derivations.map(make));
  await Promise.allSettled(known.values());
  const first = failed ?? wanted.find((one) => one.status === "rejected");
  if (first) throw "error" in first ? first.error : first.reason;
  return reports;
}

/**
 * Builds a derivation whose outputs are valid once more, aside and on one processor, and compares.
 *
 * @throws MesoError `not-reproducible` with the first difference.
 */
export async function checkReproducible(
  store: Store,
  items: Items,
  path: string,
  options: BuildOptions = {},
): Promise<void> {
  const derivation = readDerivation(items, path);
  await realise(store, items, [path], options);
  const build = await buildDerivation(store, items, path, derivation, inputsOf(items, derivation), {
    ...options,
    oneProcessor: true,
  });
  try {
    for (const output of derivation.outputs.values()) {
      const place = build.outputPlace(output.path);
      canonicaliseItem(place);
      if (narHash(place).sha256 === items.record(output.path)?.narSha256) continue;
      const difference = firstDifference(items.physicalPath(output.path), place) ?? "what is registered has changed";
      throw failure("not-reproducible", `${output.path} comes out otherwise when it is built again: ${difference}`, {
        expected: "the same bytes whatever the time and the number of processors",
      });
    }
  } finally {
    build.dispose();
  }
}

/** The derivation at a path, which must be a valid item. */
export function readDerivation(items: Items, path: string): Derivation {
  if (!items.record(path)) throw failure("missing-item", `the derivation ${path} is not in the store`);
  return parseDerivation(readFileSync(items.physicalPath(path), "utf8"));
}

function outputsOf(derivation: Derivation): string[] {
  return [...derivation.outputs.values()].map(({ path }) => path);
}

function isMade(items: Items, derivation: Derivation): boolean {
  return outputsOf(derivation).every((path) => items.record(path) !== undefined);
}

function inputsOf(items: Items, derivation: Derivation): string[] {
  const made = [...derivation.inputDerivations].flatMap(([path, names]) => {
    const { outputs } = readDerivation(items, path);
    return names.map((name) => {
      const output = outputs.get(name);
      if (!output) throw failure("missing-output", `${path} has no output ${JSON.stringify(name)}`);
      return output.path;
    });
  });
  return [...made, ...derivation.inputSources];
}

/** A build takes as long as it takes: whoever waits for it does. Milliseconds. */
const patience = 7 * 24 * 3600 * 1000;

async function buildShared(
  store: Store,
  items: Items,
  path: string,
  derivation: Derivation,
  options: RealiseOptions,
): Promise<BuildReport | undefined> {
  const { onWait, signal } = options;
  const held = await store.lock(`build-${basename(path)}`, {
    patience,
    ...(onWait && { onWait }),
    ...(signal && { signal }),
  });
  try {
    await items.finishRegistration([...derivation.outputs.values()]);
    if (isMade(items, derivation)) return undefined;
    options.onBuild?.(path);
    const start = performance.now();
    const build = await buildDerivation(store, items, path, derivation, inputsOf(items, derivation), options);
    try {
      const bytes = await registerOutputs(items, path, derivation, build);
      return { derivation: path, log: build.log, seconds: (performance.now() - start) / 1000, bytes };
    } finally {
      build.dispose();
    }
  } finally {
    held.release();
  }
}

async function registerOutputs(
  items: Items,
  deriver: string,
  derivation: Derivation,
  build: FinishedBuild,
): Promise<number> {
  const outputs = [...derivation.outputs.values()];
  // All are looked at before any is registered: a build that is refused leaves nothing.
  for (const { path, fixed } of outputs) {
    canonicaliseItem(build.outputPlace(path));
    if (fixed) await checkFixed(path, fixed, build.outputPlace(path));
  }
  const all = [...build.inputs, ...outputs.map((output) => output.path)];
  const records = await items.registerAll(
    outputs.map(({ path, fixed }) => ({
      ...{ path, from: build.outputPlace(path), deriver },
      mayReferTo: fixed ? [] : all,
    })),
  );
  return records.reduce((sum, { narSize }) => sum + narSize, 0);
}

async function checkFixed(path: string, { recursive, algorithm, digest }: FixedHash, place: string): Promise<void> {
  if (algorithm !== "sha256") throw failure("bad-hash", `${path} is fixed by ${algorithm}`, { expected: "sha256" });
  if (!recursive && !lstatSync(place).isFile()) throw failure("hash-mismatch", `${path} is not a file`);
  const found = recursive ? narHash(place).sha256 : await fileSha256(place);
  if (found === digest) return;
  throw failure("hash-mismatch", `${path} has SHA-256 ${found}`, { expected: digest });
}
