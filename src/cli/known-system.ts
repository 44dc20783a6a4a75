import { failure } from "../base/error.ts";
import { nearestHint } from "../base/nearest.ts";
import { realiseSystem } from "../build/compose.ts";
import { recallComposedFacts, rememberComposedFacts } from "../build/composed-facts.ts";
import { describeSystem } from "../centre/describe-system.ts";
import { generationsOf } from "../centre/generations.ts";
import { lookAt } from "../centre/look.ts";
import { type Observation, observe } from "../centre/observe.ts";
import { descriptionName, type SystemDescription } from "../centre/system-description.ts";
import { decodeDescription } from "../centre/system-description-file.ts";
import type { PoolImage } from "../pools/pool.ts";
import type { CentreWork } from "./centre-program.ts";

/** A system that a person named, and how it is called in what is printed. */
export interface KnownSystem {
  readonly title: string;
  readonly description: SystemDescription;
}

export const systemReferences =
  "A system is named by MACHINE (what it runs), MACHINE@program (what the program says), MACHINE@N (a\n" +
  "generation, by number or stamp), or by the name of an image in the pool.";

/**
 * Finds systems by what people call them; looks at the world once, when the first of them needs it.
 * @param compose what the program says is composed where it was not yet, so that every path of it is known.
 */
export function systemFinder(
  work: CentreWork,
  { compose = false }: { readonly compose?: boolean } = {},
): (reference: string) => Promise<KnownSystem> {
  let seen: Promise<Observation> | undefined;
  const observed = (): Promise<Observation> => {
    seen ??= observe(work.pool, work.hypervisor, work.centre.desired);
    return seen;
  };
  return async (reference) => {
    const [path, which] = reference.split("@") as [string, string?];
    const machine = work.centre.desired.machines.find((one) => one.path === path);
    if (machine && which === "program") {
      if (compose) await composed(work, path);
      return { title: `${path} as the program says`, description: await declaredSystem(work, path) };
    }
    const observation = await observed();
    if (!machine) return published(work, imageCalled(observation, reference, work));
    const look = lookAt(observation, machine);
    if (which !== undefined) {
      const numbered = generationsOf(observation, machine).find(({ number }) => `${number}` === which)?.root;
      const image = [...look.roots, ...look.published].find(
        ({ name, about }) => name === numbered || about.stamp === which,
      );
      if (image) return published(work, image);
      const stamps = [...new Set(look.published.map(({ about }) => about.stamp))];
      throw failure("no-generation", `${path} has no image of ${which}`, nearestHint(which, stamps));
    }
    if (look.current) return { ...(await published(work, look.current)), title: `${path} as it runs` };
    throw failure("no-root", `${path} runs no root of ours`, { hint: `${path}@program is what the program says` });
  };
}

/** What the program says of a machine, as a description that can be compared with published ones. */
export function declaredSystem({ centre, session }: CentreWork, path: string): Promise<SystemDescription> {
  const prepared = centre.prepared.get(path)!;
  return describeSystem(prepared, { folder: centre.folder, composed: recallComposedFacts(session, prepared) });
}

async function composed({ centre, session }: CentreWork, path: string): Promise<void> {
  const prepared = centre.prepared.get(path)!;
  if (!recallComposedFacts(session, prepared)) rememberComposedFacts(session, await realiseSystem(session, prepared));
}

/**
 * What a published system consists of; undefined when nobody has described it.
 * @throws MesoError for a document that is damaged.
 */
export async function publishedSystem(
  { pool }: Pick<CentreWork, "pool">,
  systemHash: string,
): Promise<SystemDescription | undefined> {
  const name = descriptionName(systemHash);
  const bytes = await pool.document(name);
  return bytes && decodeDescription(bytes, name);
}

async function published(work: CentreWork, { name, about }: PoolImage): Promise<KnownSystem> {
  const description = about?.system && (await publishedSystem(work, about.system.systemHash));
  if (description) return { title: name, description };
  throw failure("no-description", `nobody has described the system in ${name}`, {
    hint: "only images that meso has published can be looked into",
  });
}

function imageCalled({ images }: Observation, name: string, { centre }: CentreWork): PoolImage {
  const image = images.find((one) => one.name === name);
  if (image) return image;
  const known = [...centre.desired.machines.map(({ path }) => path), ...images.map((one) => one.name)];
  throw failure("no-such-system", `neither a machine nor an image is called ${name}`, nearestHint(name, known));
}
