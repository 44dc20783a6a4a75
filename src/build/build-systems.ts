import { MesoError, type Problem } from "../base/error.ts";
import type { OperatingSystem } from "../language/operating-system.ts";
import { type DiskImage, type DiskImageOptions, diskImage, hasDiskImage } from "./disk-image.ts";
import { fetchSegments } from "./fetch-archives.ts";
import { type ImageJob, startImageMakers } from "./image-makers.ts";
import { allPackages, type PreparedSystem, type ResolvedSystem, systemPreparer } from "./prepare.ts";
import type { BuildSession } from "./session.ts";

/**
 * Prepares many systems: each is folded and resolved as `prepareSystem` does it, but what they share is done once.
 * Nothing is downloaded or built; `systemHash` of each is what a plan needs.
 *
 * @param systems by any key, such as the machine's path.
 * @returns In the same order, by the same keys.
 * @throws MesoError with the problems of all systems; one that several share is told once.
 */
export async function prepareSystems(
  session: BuildSession,
  systems: ReadonlyMap<string, OperatingSystem>,
): Promise<ReadonlyMap<string, PreparedSystem>> {
  const prepare = systemPreparer(session);
  const prepared = new Map<string, PreparedSystem>();
  const problems = new Map<string, Problem>();
  for (const [key, os] of systems) {
    try {
      prepared.set(key, await prepare(os));
    } catch (error) {
      if (!(error instanceof MesoError)) throw error;
      for (const problem of error.problems) problems.set(JSON.stringify(problem), problem);
    }
  }
  if (problems.size > 0) throw new MesoError([...problems.values()]);
  return prepared;
}

/** A prepared system whose image is wanted. */
export interface WantedImage {
  readonly prepared: ResolvedSystem;
  /** Bytes of the whole disk; thin. */
  readonly size?: number;
}

/**
 * The disk images of many prepared systems, in the order given, one after the other. What is missing of all their
 * packages is imported first. When several must be made, child processes make the next ones in the store while the
 * caller works with one: only that one is held in memory.
 */
export async function* buildImages(
  session: BuildSession,
  wanted: ReadonlyMap<string, WantedImage>,
): AsyncGenerator<{ readonly key: string; readonly image: DiskImage }, void> {
  const optionsOf = ({ size }: WantedImage): DiskImageOptions => (size === undefined ? {} : { size });
  const jobs = [...wanted].flatMap(([key, one]): ImageJob[] =>
    hasDiskImage(session, one.prepared, optionsOf(one))
      ? []
      : [{ key, system: withoutChannel(one.prepared), ...optionsOf(one) }],
  );
  await importPackages(
    session,
    jobs.map(({ system }) => system),
  );
  const makers = jobs.length >= fewestForChildren ? startImageMakers(session, jobs) : undefined;
  try {
    for (const [key, one] of wanted) {
      await makers?.tried(key);
      session.signal.throwIfAborted();
      yield { key, image: await diskImage(session, one.prepared, optionsOf(one)) };
    }
  } finally {
    makers?.stop();
  }
}

/** A channel is open in this process only. */
function withoutChannel(system: ResolvedSystem): ResolvedSystem {
  return { ...system, ...{ channel: undefined } };
}

/** Below, starting child processes would take as long as the work. */
const fewestForChildren = 4;

async function importPackages(session: BuildSession, systems: readonly ResolvedSystem[]): Promise<void> {
  const archives = new Map(systems.flatMap(allPackages).map((one) => [one.sha256, one]));
  if ([...archives.keys()].every((sha256) => session.store.hasSegment(sha256))) return;
  await fetchSegments(session, [...archives.values()], { unpackPackages: systems[0]!.unpackPackages });
}
