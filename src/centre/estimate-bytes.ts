import { diskImage, hasDiskImage } from "../build/disk-image.ts";
import { allPackages, type PreparedSystem } from "../build/prepare.ts";
import type { BuildSession } from "../build/session.ts";
import type { Plan } from "./plan.ts";
import type { SystemDescription } from "./system-description.ts";

/** What publishing will write, in bytes: of packages, which are shared and written once, and of each machine's own. */
export interface WriteEstimate {
  readonly shared: number;
  readonly own: number;
  /** Images that are published. */
  readonly images: number;
  /** Everything was laid out already: nothing had to be guessed. */
  readonly isKnown: boolean;
}

/**
 * How much a plan writes to the pool. Nothing is fetched or built: what is not in the store yet is guessed from the sizes
 * of archives.
 *
 * @param prepared by path
 * @param running what machines run that get another system, as far as it is known
 */
export async function estimateBytes(
  session: BuildSession,
  plan: Plan,
  prepared: ReadonlyMap<string, PreparedSystem>,
  running: Iterable<SystemDescription>,
): Promise<WriteEstimate> {
  const published = plan.machines.filter(({ steps }) => steps.some(({ kind }) => kind === "publish"));
  const there = new Set([...running].flatMap(({ packages }) => packages.map(({ sha256 }) => sha256)));
  for (const { path } of plan.machines.filter((machine) => !published.includes(machine))) {
    for (const { sha256 } of prepared.get(path)?.packages ?? []) there.add(sha256);
  }
  const fresh = new Map(
    published.flatMap(({ path }) =>
      prepared.get(path)!.packages.flatMap((one) => (there.has(one.sha256) ? [] : [[one.sha256, one] as const])),
    ),
  );
  let [shared, own, isKnown] = [0, 0, true];
  for (const { sha256, size } of fresh.values()) {
    const isThere = session.store.hasSegment(sha256);
    shared += isThere ? session.store.readSegmentTable(sha256).dataBytes : size * usualExpansion;
    isKnown &&= isThere;
  }
  for (const { path, machine } of published) {
    const bytes = await ownBytes(session, prepared.get(path)!, machine.diskSize, published.length);
    own += bytes ?? usualOwnBytes;
    isKnown &&= bytes !== undefined;
  }
  return { shared, own, images: published.length, isKnown };
}

/** Archives of trixie hold 2.9 times their size, on the average of a server's packages. */
const usualExpansion = 3;
/** Bytes of inode tables, directories, generated files and boot files that are a machine's alone. */
const usualOwnBytes = 6e6;
/** Recipes are some MB each: of a whole centre they are not read only to be counted. */
const mostRead = 8;

async function ownBytes(
  session: BuildSession,
  system: PreparedSystem,
  size: number,
  machines: number,
): Promise<number | undefined> {
  if (machines > mostRead || !hasDiskImage(session, system, { size })) return undefined;
  const archives = new Set(allPackages(system).map(({ sha256 }) => sha256));
  const { recipe } = await diskImage(session, system, { size });
  return recipe.extents.reduce(
    (sum, { length, source }) => (source.kind === "segment" && archives.has(source.segment) ? sum : sum + length),
    0,
  );
}
