import { compareDescriptions } from "../centre/compare-descriptions.ts";
import { type PackageNews, packageNews } from "../centre/package-news.ts";
import type { MachinePlan, Plan } from "../centre/plan.ts";
import { changelogReader, type ReadChangelog } from "../centre/read-changelog.ts";
import type { SystemDescription } from "../centre/system-description.ts";
import { isEmptyDifference, type SystemDifference } from "../centre/system-difference.ts";
import type { CentreWork } from "./centre-program.ts";
import { declaredSystem, publishedSystem } from "./known-system.ts";

export interface ToldDifference {
  readonly before: SystemDescription;
  readonly difference: SystemDifference;
  /** What Debian's changelogs say of the packages that move. */
  readonly news: readonly PackageNews[];
}

/** What differs inside each machine that gets another system, by path. */
export async function plannedDifferences(work: CentreWork, plan: Plan): Promise<ReadonlyMap<string, ToldDifference>> {
  const readChangelog = changelogReader(work.session);
  const differences = new Map<string, ToldDifference>();
  for (const machine of plan.machines) {
    const systems = await plannedSystems(work, machine);
    const told = systems && (await toldDifference(...systems, readChangelog));
    if (told && !isEmptyDifference(told.difference)) differences.set(machine.path, told);
  }
  return differences;
}

/** How two systems differ, with what changelogs tell. */
export async function toldDifference(
  before: SystemDescription,
  after: SystemDescription,
  readChangelog: ReadChangelog,
): Promise<ToldDifference> {
  const difference = compareDescriptions(before, after);
  const packages = [...before.packages, ...after.packages];
  return { before, difference, news: await packageNews(difference.packages, packages, readChangelog) };
}

/** Undefined where nothing ran before, nothing else will run, or nobody knows what did. */
async function plannedSystems(
  work: CentreWork,
  { path, from, to }: MachinePlan,
): Promise<[SystemDescription, SystemDescription] | undefined> {
  if (from?.systemHash === undefined || to?.systemHash === undefined || from.systemHash === to.systemHash) {
    return undefined;
  }
  const isDeclared = to.systemHash === work.centre.prepared.get(path)?.systemHash;
  const [before, after] = await Promise.all([
    publishedSystem(work, from.systemHash),
    isDeclared ? declaredSystem(work, path) : publishedSystem(work, to.systemHash),
  ]);
  return before && after && [before, after];
}
