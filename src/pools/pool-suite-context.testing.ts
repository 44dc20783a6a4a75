import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { MesoError } from "../base/error.ts";
import type { ImageName, Pool, Publication } from "./pool.ts";
import { assertReads } from "./pool-disks.testing.ts";
import type { SampleCentre } from "./pool-sample.testing.ts";

/** A pool of its own for some tests, empty at first. */
export interface FreshPool {
  readonly pool: Pool;
  /** A module with `openForTest(settings)`, and what it takes, as JSON: the same pool from another process. */
  readonly opener: string;
  readonly settings: unknown;
  /** An image that other programs made, of 1 MiB. */
  readonly makeForeign: (name: ImageName) => Promise<void>;
  readonly remove: () => Promise<void>;
}

export interface SuiteOptions {
  /** How many moments a publication is killed at. */
  readonly kills: number;
  /** Milliseconds until the pool notices that a killed process has gone: watches of Ceph end late. */
  readonly forgetsAfter?: number;
  /** Whether a volume can be snapshotted while a machine has it; else that is refused. */
  readonly snapshotsInUse: boolean;
  /** Journal lines that are appended to see that only the newest 1,000 stay; fewer where appending is slow. */
  readonly journalLines?: number;
  /** Bytes a publication may send beyond the blocks that changed, for each image: tables of its own. */
  readonly overheadPerImage: number;
  /** How often what the sample's disks share is written: once for each base that disks of their kinds have. Default: 1. */
  readonly bases?: number;
}

/** What the tests of one chapter have. */
export interface Here {
  readonly pool: () => Pool;
  readonly place: () => FreshPool;
  readonly centre: () => SampleCentre;
  readonly options: SuiteOptions;
}

/** Rejects with that code, and with nothing that looks like a secret or a stack. */
export async function refused(call: Promise<unknown>, code: string, what = code): Promise<MesoError> {
  let outcome: unknown;
  try {
    outcome = await call;
  } catch (error) {
    assert.ok(error instanceof MesoError, `${what}: ${error}`);
    assert.equal(error.code, code, `${what}: ${error.message}`);
    return error;
  }
  assert.fail(`${what} was not refused, but gave ${JSON.stringify(outcome)}`);
}

/** As a person would: once more after a while, where the pool has not noticed yet that its former user is dead. */
export async function retried<T>(call: () => Promise<T>, { forgetsAfter = 0 }: SuiteOptions): Promise<T> {
  const deadline = performance.now() + forgetsAfter;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof MesoError) || error.code !== "image-in-use" || performance.now() > deadline) throw error;
      await sleep(500);
    }
  }
}

export async function imageNamed(pool: Pool, name: ImageName) {
  const image = (await pool.list()).find((one) => one.name === name);
  assert.ok(image, `${name} is listed`);
  return image;
}

/** The published image has, byte for byte, what its recipe says: QEMU reads it, a raw file made by us is the measure. */
export async function assertHolds(pool: Pool, { name, recipe }: Publication, centre: SampleCentre): Promise<void> {
  await assertReads(pool, name, recipe, centre.rawFile(recipe));
}
