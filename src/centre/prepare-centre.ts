import { MesoError } from "../base/error.ts";
import { prepareSystems } from "../build/build-systems.ts";
import type { PreparedSystem } from "../build/prepare.ts";
import type { BuildSession } from "../build/session.ts";
import { type DesiredCentre, desiredCentre } from "./desired.ts";
import type { OpenedCentre } from "./open-centre.ts";
import { missingStateDisks } from "./state-disks.ts";

/** A centre whose systems are known by hash: all that a plan needs, with nothing fetched or built. */
export interface PreparedCentre extends OpenedCentre {
  readonly desired: DesiredCentre;
  /** By path. */
  readonly prepared: ReadonlyMap<string, PreparedSystem>;
}

/** @throws MesoError with every mistake of every machine's system. */
export async function prepareCentre(session: BuildSession, opened: OpenedCentre): Promise<PreparedCentre> {
  const systems = new Map(Object.entries(opened.centre.machines).map(([path, { os }]) => [path, os]));
  const prepared = await prepareSystems(session, systems);
  const facts = new Map(
    [...prepared].map(([path, { systemHash, manifest }]) => [
      path,
      { systemHash, architecture: manifest.architecture, checks: manifest.checks, secrets: manifest.secrets },
    ]),
  );
  const missing = missingStateDisks(opened.centre, prepared);
  if (missing.length > 0) throw new MesoError(missing);
  return { ...opened, prepared, desired: desiredCentre(opened.centre, facts) };
}
