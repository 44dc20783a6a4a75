import assert from "node:assert/strict";
import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { scripts } from "./build-place.testing.ts";
import { collect } from "./collect.ts";
import { type Items, openItems } from "./items.ts";
import { narHash } from "./nar.ts";
import { readDerivation, realise } from "./realise.ts";
import { addRoot } from "./roots.ts";
import { openStore, type Store } from "./store.ts";

// A process of the test beside it: `build`s graphs that overlap with those of others and looks whether what it holds
// stays, or `collect`s all that it can, until it is killed.
const [role, directory, tools, journal, seed] = process.argv.slice(2) as [string, string, string, string, string];
const random = randomNumbers(Number(seed));
if (role === "collect") await collectForEver();
else await buildForEver();

async function collectForEver(): Promise<void> {
  const store = openStore(directory);
  const items = openItems(store);
  for (;;) {
    const now = Math.floor(Date.now() / 1000) + 1;
    const { items: count } = await collect(store, items, { now, graceSeconds: 0, unusedSeconds: 0 });
    appendFileSync(journal, `collected ${count}\n`);
    await sleep(random() * 50);
  }
}

async function buildForEver(): Promise<void> {
  for (;;) {
    const store = openStore(directory);
    const items = openItems(store);
    await items.hold([tools]);
    const derivation = await makeGraph(items, Math.floor(random() * 3), Math.floor(random() * 6));
    const reports = await realise(store, items, [derivation], { parallel: 2 });
    appendFileSync(journal, reports.map(() => "built\n").join(""));
    const outputs = [...readDerivation(items, derivation).outputs.values()].map(({ path }) => path);
    if (random() < 0.3) await root(store, items, `root ${Math.floor(random() * 8)}`, outputs[0]!);
    // Collections go on: what this process holds is there, whole, with all that it needs.
    for (let look = 0; look < 3; look++) {
      await sleep(random() * 60);
      for (const path of items.closure([derivation, ...outputs])) {
        const record = items.record(path);
        assert.equal(narHash(items.physicalPath(path)).sha256, record?.narSha256, path);
      }
    }
    store.release();
  }
}

async function root(store: Store, items: Items, name: string, path: string): Promise<void> {
  await addRoot(store, items, name, path);
  appendFileSync(journal, "rooted\n");
}

/** One of the programs of one of the worlds: its derivations are the same in every process. */
async function makeGraph(items: Items, world: number, number: number): Promise<string> {
  const script = scripts(items, tools);
  const base = await script(`base-${world}`, `echo base ${world} > $out`);
  const outputOf = (path: string, name = "out") => readDerivation(items, path).outputs.get(name)!.path;
  const libraries: string[] = [];
  for (let i = 0; i <= number % 3; i++) {
    libraries.push(
      await script(`library-${world}-${i}`, `mkdir $out; echo ${outputOf(base)} > $out/l; echo $out > $dev`, {
        inputDerivations: new Map([[base, ["out"]]]),
        outputs: new Map([
          ["out", { path: "" }],
          ["dev", { path: "" }],
        ]),
      }),
    );
  }
  const text = libraries.map((library) => outputOf(library, "dev")).join(" ");
  return script(`program-${world}-${number}`, `echo ${text} > $out`, {
    inputDerivations: new Map(libraries.map((library) => [library, ["dev"]])),
  });
}

/** Mulberry32: from 0 to below 1, the same for the same seed. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
