import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { MesoError } from "../base/error.ts";
import { sha256 } from "../base/hash.ts";
import type { ImageAbout, ImageRole } from "../pools/about.ts";
import { directoryPool } from "../pools/directory/directory-pool.ts";
import type { Pool } from "../pools/pool.ts";
import { actor } from "./actor.ts";
import { type Random, seededRandom } from "./random.ts";
import { systemAbout } from "./simulated-hands.ts";
import { simulatedPool } from "./simulated-pool.ts";
import { virtualClock } from "./virtual-clock.ts";
import { emptyWorld } from "./world.ts";

const MiB = 2 ** 20;
const steps = 250;

/** What the executor is proved with must answer as what it works with: the same words to both, drawn by lot. */
test("the simulated pool answers as a real one does", { timeout: 600_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "meso-same-pool-"));
  try {
    const clock = virtualClock(1_800_000_000);
    const real = directoryPool(folder, { now: clock.now });
    const simulated = simulatedPool(
      emptyWorld("c", clock),
      actor(emptyWorld("c", clock), "x", () => undefined),
    );
    const random = seededRandom(7);
    const codes = new Set<string>();
    for (let step = 0; step < steps; step++) {
      const { words, ask } = verb(random, clock.now());
      const expected = await answer(ask(real));
      const given = await clock.until(answer(ask(simulated)));
      assert.deepEqual(given, expected, `step ${step}: ${words}`);
      codes.add(expected.startsWith("refused") ? expected : "given");
      assert.deepEqual(await clock.until(look(simulated)), await look(real), `after step ${step}: ${words}`);
    }
    assert.ok(codes.size >= 7, `too few kinds of answers to mean anything: ${[...codes].join(", ")}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

interface Asked {
  readonly words: string;
  readonly ask: (pool: Pool) => Promise<unknown>;
}

function verb(random: Random, now: number): Asked {
  const name = () => random.pick(["a", "b", "c", "d", "e"]);
  const [one, other] = [name(), name()];
  const snapshot = random.pick(["s", "t"]);
  const about = aboutOf(random.pick(["candidate", "volume", "root"]), one);
  const line = random.pick(['{"x":1}', '{"y":2}', "no line"]);
  const holder = random.pick(["ann", "bob"]);
  const lease = { holder, purpose: "p", since: Math.floor(now), expires: Math.floor(now) + random.pick([-5, 60]) };
  const asked: Record<string, (pool: Pool) => Promise<unknown>> = {
    [`publish ${one}`]: (pool) => pool.publish([publication(one, other)], sources),
    [`volume ${one}`]: (pool) => pool.createVolume(one, MiB, aboutOf("volume", "v")),
    [`clone ${one} ${other}`]: (pool) => pool.clone({ image: one }, other, about),
    [`clone ${one}@${snapshot} ${other}`]: (pool) => pool.clone({ image: one, snapshot }, other, about),
    [`rename ${one} ${other}`]: (pool) => pool.rename(one, other),
    [`describe ${one}`]: (pool) => pool.describe(one, about),
    [`remove ${one}`]: (pool) => pool.remove(one),
    [`snapshot ${one}@${snapshot}`]: (pool) => pool.snapshot(one, snapshot),
    [`unsnapshot ${one}@${snapshot}`]: (pool) => pool.removeSnapshot(one, snapshot),
    [`restore ${one}@${snapshot}`]: (pool) => pool.restoreSnapshot(one, snapshot),
    [`snapshots ${one}`]: async (pool) => [...(await pool.snapshots(one))].sort(),
    [`openers ${one}`]: (pool) => pool.openers(one),
    [`lease ${holder}`]: (pool) => pool.takeLease(lease),
    [`release ${holder}`]: (pool) => pool.releaseLease(holder),
    journal: (pool) => pool.appendJournal(line),
    [`document ${one}`]: (pool) => pool.putDocument(one, Buffer.from(other)),
    [`undocument ${one}`]: (pool) => pool.removeDocument(one),
  };
  const words = random.pick(Object.keys(asked));
  return { words, ask: asked[words]! };
}

/** What anybody can see. */
async function look(pool: Pool) {
  const documents = await pool.documents();
  return {
    images: (await pool.list()).map(({ name, size, about, parent }) => ({ name, size, about, parent })),
    lease: await pool.lease(),
    journal: await pool.journal(),
    documents: await Promise.all(
      documents.map(async (name) => [name, Buffer.from((await pool.document(name))!).toString()]),
    ),
  };
}

async function answer(asked: Promise<unknown>): Promise<string> {
  try {
    const given = await asked;
    // How many bytes it took is the pool's own business.
    const told = (given as { unchanged?: unknown } | undefined)?.unchanged ?? given;
    return JSON.stringify(told) ?? "nothing";
  } catch (error) {
    if (!(error instanceof MesoError)) throw error;
    return `refused: ${error.code}`;
  }
}

function publication(name: string, machine: string) {
  const about = { ...aboutOf("published", machine), system: systemAbout(sha256(machine), machine, 5) };
  return { name, recipe: { size: 2 * MiB, extents: [] }, about };
}

function aboutOf(role: ImageRole, machine: string): ImageAbout {
  const volume = role === "volume" ? { volume: "state" } : {};
  return { formatVersion: 1, centre: "c", machine, role, stamp: "202611250600", ...volume };
}

const sources = {
  files: { segmentDataPath: () => "" },
  identify: (segment: string) => segment,
  signal: new AbortController().signal,
};
