import type { Items } from "./items.ts";
import type { NarInfo } from "./narinfo.ts";
import { readDerivation } from "./realise.ts";
import type { Substituter } from "./substitute.ts";

/** What realising derivations would take, as caches are now. */
export interface RealisePlan {
  /** Paths of derivations, each after those that it needs. */
  readonly build: readonly string[];
  readonly fetch: readonly NarInfo[];
}

/** What `realise` would fetch and build, without doing any of it. */
export async function planRealise(
  items: Items,
  derivations: readonly string[],
  wouldFetch: Substituter["wouldFetch"],
): Promise<RealisePlan> {
  const fetch = new Map<string, NarInfo>();
  const build = new Set<string>();
  const seen = new Set<string>();
  const visit = async (path: string): Promise<void> => {
    if (seen.has(path)) return;
    seen.add(path);
    const derivation = readDerivation(items, path);
    const missing = [...derivation.outputs.values()].map((output) => output.path).filter((one) => !items.record(one));
    if (missing.length === 0) return;
    const offered = await wouldFetch(missing);
    for (const info of offered) fetch.set(info.storePath, info);
    if (missing.every((one) => fetch.has(one))) return;
    for (const input of derivation.inputDerivations.keys()) await visit(input);
    build.add(path);
  };
  for (const path of derivations) await visit(path);
  return { build: [...build], fetch: [...fetch.values()] };
}
