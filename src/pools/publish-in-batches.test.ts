import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { Pool, Publication, PublishSources } from "./pool.ts";
import { publishInBatches } from "./publish-in-batches.ts";

const sources = {} as PublishSources;

async function* images(count: number, asked: string[] = []): AsyncGenerator<Publication> {
  for (let i = 0; i < count; i++) {
    asked.push(String(i));
    yield { name: String(i) } as Publication;
  }
}

/** A pool that ends a publication when it is told to. */
function slowPool() {
  const begun: { readonly names: string[]; readonly end: (error?: Error) => void }[] = [];
  const publish: Pool["publish"] = (some) =>
    new Promise((resolve, reject) => {
      const names = some.map(({ name }) => name);
      const report = { sharedBytes: 1, ownBytes: names.length, unchanged: names.filter((name) => name === "3") };
      begun.push({ names, end: (error) => (error ? reject(error) : resolve(report)) });
    });
  return { pool: { publish } as Pool, begun };
}

/** Long enough for all that does not wait for the pool. */
async function settle(): Promise<void> {
  for (let i = 0; i < 100; i++) await turn();
}

test("two batches of sixteen are under way, a third waits for one of them, and their reports are added up", async () => {
  const { pool, begun } = slowPool();
  const asked: string[] = [];
  const result = publishInBatches(pool, images(50, asked), sources);
  await settle();
  assert.deepEqual(
    begun.map(({ names }) => names.length),
    [16, 16],
  );
  assert.equal(asked.length, 48, "the next batch is collected meanwhile");
  begun[1]!.end();
  await settle();
  assert.deepEqual(begun[2]?.names.at(0), "32");
  assert.equal(begun.length, 4, "the last two are a batch too");
  for (const { end } of begun) end();
  assert.deepEqual(await result, { sharedBytes: 4, ownBytes: 50, unchanged: ["3"] });
});

test("after a failure nothing is begun, and what is under way is waited for", async () => {
  const { pool, begun } = slowPool();
  let isOver = false;
  const result = publishInBatches(pool, images(100), sources).finally(() => {
    isOver = true;
  });
  result.catch(() => {});
  await settle();
  begun[0]!.end(new Error("full"));
  await settle();
  assert.equal(begun.length, 2);
  assert.equal(isOver, false);
  begun[1]!.end();
  await assert.rejects(result, /full/);
});

test("an image that cannot be made is told once those under way are there", async () => {
  const { pool, begun } = slowPool();
  async function* failing(): AsyncGenerator<Publication> {
    yield* images(16);
    throw new Error("not built");
  }
  const result = publishInBatches(pool, failing(), sources);
  result.catch(() => {});
  await settle();
  begun[0]!.end();
  await assert.rejects(result, /not built/);
});

test("nothing to publish asks the pool for nothing", async () => {
  const { pool, begun } = slowPool();
  assert.deepEqual(await publishInBatches(pool, images(0), sources), { sharedBytes: 0, ownBytes: 0, unchanged: [] });
  assert.equal(begun.length, 0);
});
