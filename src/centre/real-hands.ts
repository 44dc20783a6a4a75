import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { BuildSession } from "../build/session.ts";
import type { Credentials } from "../hypervisors/hypervisor.ts";
import { runChecks } from "../hypervisors/run-checks.ts";
import { diskRecipe } from "../image/extent.ts";
import { writeQcow2 } from "../image/output/qcow2.ts";
import type { Verdict } from "../pools/about.ts";
import type { DiskLocation } from "../pools/pool.ts";
import type { Clock, DeployEvent, Hands, Trial } from "./hands.ts";
import type { Places } from "./open-places.ts";
import type { PreparedCentre } from "./prepare-centre.ts";
import { userName } from "./provenance.ts";
import { publishImages } from "./publish-images.ts";
import { tryCandidate } from "./verify-candidate.ts";

export interface RealWorld extends Pick<Places, "pool" | "hypervisor"> {
  readonly session: BuildSession;
  readonly centre: PreparedCentre;
  /** By path of the machine: see `lookUpSecrets`. Left out where no machine is started. */
  readonly secrets?: ReadonlyMap<string, Credentials>;
  readonly report: (event: DeployEvent) => void;
  readonly signal: AbortSignal;
}

export const realClock: Clock = {
  now: () => Date.now() / 1000,
  sleep: async (seconds, signal) => {
    await sleep(seconds * 1000, undefined, signal && { signal }).catch((error: unknown) => {
      if (!signal?.aborted) throw error;
    });
  },
};

/** What the executor works with when it is not a simulation. */
export function realHands(world: RealWorld): Hands {
  const { session, centre, pool, hypervisor, report, signal } = world;
  const holder = `${userName()}@${hostname()} process ${process.pid}`;
  // Trials run on this host: machines that starve each other would fail for no fault of theirs.
  const inTurn = atOnce(Math.max(1, availableParallelism() - 1));
  return {
    pool,
    hypervisor,
    clock: realClock,
    holder,
    publish: (requests) => publishImages({ session, centre, pool, now: realClock.now }, requests),
    secrets: ({ path }) => credentialsOf(world, path),
    verify: (trial) => inTurn(() => verify(world, trial)),
    check: async ({ checks }, agent, patience) => {
      // Not ended by Ctrl-C: a machine that is down by our doing is brought to an end first.
      const { failed, results } = await runChecks(agent, checks, patience);
      return { failed, checks: results.length };
    },
    report,
    signal,
  };
}

function credentialsOf({ secrets }: RealWorld, path: string): Credentials {
  return secrets?.get(path) ?? new Map();
}

/** A volume that is not there yet is an empty disk, as it will be when the machine first meets it. */
async function verify(world: RealWorld, trial: Trial): Promise<Verdict> {
  const { session, signal, report } = world;
  const { machine, root } = trial;
  const folder = mkdtempSync(join(tmpdir(), "meso-empty-"));
  try {
    const slots = freeSlots(machine.rootSlot);
    const volumes = machine.volumes.map(({ name, size }) => ({
      slot: slots(),
      serial: name,
      disk:
        trial.volumes.find((volume) => volume.name === name)?.disk ??
        emptyDisk(join(folder, `${name}.qcow2`), size, session),
    }));
    const { verdict, logs } = await tryCandidate(
      {
        spec: machine.spec,
        root: { slot: machine.rootSlot, disk: root },
        volumes,
        checks: machine.checks,
        bootSeconds: machine.bootSeconds,
        credentials: credentialsOf(world, machine.path),
      },
      {
        cacheDirectory: join(session.store.directory, "cache"),
        by: `${userName()}@${hostname()}`,
        now: () => Math.floor(realClock.now()),
        logFolder: join(session.store.directory, "trials"),
        signal,
      },
    );
    if (logs !== undefined) report({ kind: "trouble", path: machine.path, text: `what the trial said is in ${logs}` });
    return verdict;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Slots of the root's bus that the root does not take, one after the other. */
function freeSlots(rootSlot: string): () => string {
  const bus = rootSlot.replace(/\d+$/, "");
  let number = 0;
  return () => {
    if (`${bus}${number}` === rootSlot) number++;
    return `${bus}${number++}`;
  };
}

function emptyDisk(path: string, size: number, { store }: BuildSession): DiskLocation {
  writeQcow2(diskRecipe(size, []), path, store);
  return { kind: "file", path, format: "qcow2" };
}

/** Runs at most so many at a time; the others wait in the order they came. */
function atOnce(most: number): <T>(body: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (body) => {
    if (running >= most) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await body();
    } finally {
      // The place is handed on, so that nobody slips in between.
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}
