import { failure } from "../base/error.ts";
import type { SystemAbout, Verdict } from "../pools/about.ts";
import type { ImageName } from "../pools/pool.ts";
import type { DesiredMachine } from "./desired.ts";
import { parseSnapshotName } from "./image-names.ts";
import { type Look, lookAt } from "./look.ts";
import type { Observation } from "./observe.ts";

/** A root that a machine runs, or could be brought back to. */
export interface Generation {
  /** From 1, oldest first, of those that are left in the pool; the stamp names it for ever. */
  readonly number: number;
  readonly root: ImageName;
  readonly stamp: string;
  readonly isCurrent: boolean;
  /** Absent on a root that was adopted. */
  readonly system?: SystemAbout;
  readonly verdict?: Verdict;
  readonly forced?: string;
  /** A swap to it was begun and not ended, or it waits for its turn. */
  readonly isOpen: boolean;
  /** Newest snapshots of the volumes as it left them, by volume. */
  readonly state: Readonly<Record<ImageName, string>>;
}

/** Oldest first. The observation must have been asked for all snapshots, for `state` to be known. */
export function generationsOf(observation: Observation, machine: DesiredMachine): readonly Generation[] {
  const look = lookAt(observation, machine);
  return look.roots.map(({ name, about }, index) => ({
    number: index + 1,
    root: name,
    stamp: about.stamp,
    isCurrent: name === look.current?.name,
    ...(about.system && { system: about.system }),
    ...(about.verdict && { verdict: about.verdict }),
    ...(about.forced !== undefined && { forced: about.forced }),
    isOpen: about.intent !== undefined,
    state: stateLeftBy(look, about.stamp),
  }));
}

/**
 * The generation that `to` names, by number or stamp; without it, the newest one before the current that has not failed.
 * @throws MesoError `no-generation` with those that there are.
 */
export function chooseGeneration(
  generations: readonly Generation[],
  path: string,
  to: string | undefined,
  back?: ImageName,
): Generation {
  const named = (one: Generation) =>
    to === undefined ? one.root === back : `${one.number}` === to || one.stamp === to;
  const chosen = generations.find(named) ?? (to === undefined ? before(generations) : undefined);
  if (chosen) return chosen;
  const known = generations.map(
    ({ number, stamp, isCurrent }) => `${number} (${stamp}${isCurrent ? ", current" : ""})`,
  );
  throw failure("no-generation", `${path} has no ${to === undefined ? "older generation" : `generation ${to}`}`, {
    expected: known.length > 0 ? `one of ${known.join(", ")}` : "a machine that was deployed before",
  });
}

function before(generations: readonly Generation[]): Generation | undefined {
  const current = generations.findIndex(({ isCurrent }) => isCurrent);
  return generations
    .slice(0, current < 0 ? generations.length : current)
    .findLast(({ verdict, isOpen }) => verdict?.passed !== false && !isOpen);
}

function stateLeftBy({ volumes, snapshots }: Look, stamp: string): Record<ImageName, string> {
  const left: Record<ImageName, string> = {};
  for (const { found } of volumes) {
    const names = (found ? (snapshots[found.name] ?? []) : []).filter((name) => {
      const parsed = parseSnapshotName(name);
      return parsed?.kind === "left" && parsed.root === stamp;
    });
    const newest = names.sort().at(-1);
    if (found && newest !== undefined) left[found.name] = newest;
  }
  return left;
}
