import assert from "node:assert/strict";
import { test } from "node:test";
import type { Fault } from "../simulation/actor.ts";
import {
  type Campaign,
  type CampaignOptions,
  campaign,
  checkAllUp,
  checkConverged,
  duel,
} from "../simulation/campaign.testing.ts";
import { seededRandom } from "../simulation/random.ts";

/**
 * Thousands of small centres, each with its own mishaps. `MESO_SEEDS=100000` tries more; `MESO_SEED=4711` tries one and
 * prints its story.
 */
const seeds = Number(process.env.MESO_SEEDS ?? 1200);
const only = process.env.MESO_SEED === undefined ? undefined : Number(process.env.MESO_SEED);

async function forSeeds(
  count: number,
  optionsFor: (seed: number) => CampaignOptions | "duel",
  check: (one: Campaign) => void,
) {
  const chosen = only === undefined ? Array.from({ length: count }, (_, seed) => seed) : [only];
  for (const seed of chosen) {
    const options = optionsFor(seed);
    const told = await (options === "duel" ? duel(seed) : campaign(seed, options)).catch((error: unknown) => {
      throw new Error(`MESO_SEED=${seed} fails`, { cause: error });
    });
    try {
      assert.deepEqual(told.violations, []);
      check(told);
    } catch (error) {
      const story = only === undefined ? "" : `\n${told.trace.join("\n")}`;
      throw new Error(`MESO_SEED=${seed} fails: ${(error as Error).message}${story}`, { cause: error });
    }
  }
}

test("without faults one run gets everything done that can be done", () =>
  forSeeds(
    seeds / 3,
    () => ({ faults: () => () => undefined }),
    (told) => {
      checkConverged(told);
      checkAllUp(told);
    },
  ));

test("killed at any step, the next run converges", () =>
  forSeeds(
    seeds,
    (seed) => ({ faults: (round) => killAt((seed * 7 + round * 13) % 160, seed + round) }),
    (told) => {
      checkConverged(told);
      checkAllUp(told);
    },
  ));

test("whatever fails, is lost, done twice or slow, the next run converges", () =>
  forSeeds(
    seeds,
    (seed) => ({ faults: (round) => someFaults(seed * 31 + round), takeBack: seed % 3 === 0 ? "wave" : "machine" }),
    (told) => {
      checkConverged(told);
      checkAllUp(told);
    },
  ));

test("others may do what they like meanwhile", () =>
  forSeeds(
    seeds,
    (seed) => ({ faults: (round) => (seed % 2 ? () => undefined : someFaults(seed * 17 + round)), meddling: true }),
    checkConverged,
  ));

test("whoever has lost the lease changes nothing any more, and the next one goes on from there", () =>
  forSeeds(
    seeds / 2,
    () => "duel",
    (told) => {
      checkConverged(told);
      checkAllUp(told);
    },
  ));

function killAt(call: number, seed: number): (number: number) => Fault | undefined {
  const kind = seed % 2 === 0 ? "die-before" : "die-after";
  return (number) => (number === call ? kind : undefined);
}

/** One call in forty or so goes wrong. */
function someFaults(seed: number): (number: number, verb: string) => Fault | undefined {
  const random = seededRandom(seed);
  const rate = random.pick([0.01, 0.03, 0.1]);
  const kinds: readonly Fault[] = [
    "lose-answer",
    "unreachable",
    "busy",
    "twice",
    "slow",
    "full",
    "die-before",
    "die-after",
  ];
  return () => (random.chance(rate) ? random.pick(kinds) : undefined);
}
