import { MesoError, type Problem } from "../base/error.ts";
import type { OperatingSystem } from "../language/operating-system.ts";
import { type DiskImage, diskImage } from "./disk-image.ts";
import { type PreparedSystem, systemPreparer } from "./prepare.ts";
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
  readonly prepared: PreparedSystem;
  /** Bytes of the whole disk; thin. */
  readonly size?: number;
}

/**
 * The disk images of many prepared systems, in the order given, one after the other: the next ones are made while the
 * caller works with one, and only a few are held in memory.
 */
export async function* buildImages(
  session: BuildSession,
  wanted: ReadonlyMap<string, WantedImage>,
): AsyncGenerator<{ readonly key: string; readonly image: DiskImage }, void> {
  for (const [key, { prepared, size }] of wanted) {
    yield { key, image: await diskImage(session, prepared, size === undefined ? {} : { size }) };
  }
}
