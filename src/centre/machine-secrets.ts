import { MesoError, type Problem } from "../base/error.ts";
import type { Credentials } from "../hypervisors/hypervisor.ts";
import type { SecretSource } from "../language/secret.ts";
import type { SystemManifest } from "../system/manifest.ts";
import { changingMachines, type Plan } from "./plan.ts";
import type { PreparedCentre } from "./prepare-centre.ts";
import { type SecretPlaces, secretValue } from "./secret-value.ts";
import type { StepKind } from "./steps.ts";

/**
 * The secrets of every machine that a plan starts or tries, by path. Each is looked up once, however many machines need
 * it, and none that nobody needs now: a vault may ask for a key to be touched.
 *
 * @throws MesoError with every secret that cannot be had: who needs it, and where it was looked for.
 */
export function lookUpSecrets(
  plan: Plan,
  { prepared, folder }: Pick<PreparedCentre, "prepared" | "folder">,
  { env }: Pick<SecretPlaces, "env">,
): ReadonlyMap<string, Credentials> {
  const sourceOf = (path: string, name: string): SecretSource =>
    prepared.get(path)?.manifest.origins?.secretSources[name] ?? { kind: "usual" };
  const needs = changingMachines(plan).flatMap(({ path, machine, steps, wayBack }) =>
    [...steps, ...wayBack].some(({ kind }) => needing.has(kind))
      ? (machine.secrets ?? []).map((name) => ({ path, name, source: sourceOf(path, name) }))
      : [],
  );
  const values = new Map<string, Map<string, string>>();
  const problems: Problem[] = [];
  for (const sameOnes of Map.groupBy(needs, (need) => JSON.stringify([need.name, need.source])).values()) {
    const { name, source } = sameOnes[0]!;
    try {
      const value = secretValue({ name, source }, { env, folder });
      for (const { path } of sameOnes) values.set(path, (values.get(path) ?? new Map()).set(name, value));
    } catch (error) {
      if (!(error instanceof MesoError)) throw error;
      const needed = `needed by ${sameOnes.map(({ path }) => path).join(", ")}`;
      problems.push(...error.problems.map((one) => ({ ...one, what: `${one.what}; ${needed}` })));
    }
  }
  if (problems.length > 0) throw new MesoError(problems);
  return values;
}

/** The secrets of one system, by name. @throws MesoError with every one that cannot be had. */
export function systemSecrets({ secrets, origins }: SystemManifest, places: SecretPlaces): Credentials {
  const problems: Problem[] = [];
  const values = new Map<string, string>();
  for (const name of secrets) {
    try {
      values.set(name, secretValue({ name, source: origins?.secretSources[name] ?? { kind: "usual" } }, places));
    } catch (error) {
      if (!(error instanceof MesoError)) throw error;
      problems.push(...error.problems);
    }
  }
  if (problems.length > 0) throw new MesoError(problems);
  return values;
}

const needing: ReadonlySet<StepKind> = new Set(["verify", "power-on", "check"]);
