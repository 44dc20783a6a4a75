import assert from "node:assert/strict";
import { it } from "node:test";
import type { Lease } from "./pool.ts";
import { inOtherProcess } from "./pool-other-process.testing.ts";
import { type Here, refused } from "./pool-suite-context.testing.ts";

// What a pool keeps beside images: who works on it, what was done, descriptions.

const MiB = 1 << 20;

export function leaseTests({ pool, place }: Here): void {
  const now = () => Math.floor(Date.now() / 1000);
  const lease = (holder: string, seconds: number): Lease => ({
    holder,
    purpose: `deploy of plan ${holder}`,
    since: now(),
    expires: now() + seconds,
  });

  it("is taken, renewed, refused to others, and given back", async () => {
    assert.equal(await pool().lease(), undefined);
    const mine = lease("ann@here process 1", 600);
    await pool().takeLease(mine);
    assert.deepEqual(await pool().lease(), mine);
    const error = await refused(pool().takeLease(lease("bob@there process 2", 600)), "lease-held");
    assert.match(error.message, /ann@here process 1/);
    assert.match(error.message, /deploy of plan ann/);
    const longer = { ...mine, expires: mine.expires + 600 };
    await pool().takeLease(longer);
    assert.deepEqual(await pool().lease(), longer);
    await pool().releaseLease("bob@there process 2");
    assert.deepEqual(await pool().lease(), longer);
    await pool().releaseLease(mine.holder);
    assert.equal(await pool().lease(), undefined);
    await pool().releaseLease(mine.holder);
  });

  it("passes on when it has expired, or when somebody takes it from its holder", async () => {
    await pool().takeLease(lease("ann", -1));
    const next = lease("bob", 600);
    await pool().takeLease(next);
    assert.deepEqual(await pool().lease(), next);
    await refused(pool().takeLease(lease("ann", 600)), "lease-held");
    await pool().releaseLease(undefined);
    assert.equal(await pool().lease(), undefined);
    await pool().releaseLease(undefined);
  });

  it("goes to exactly one of several processes, also when the former has expired", async () => {
    for (const former of [undefined, lease("old", -5)]) {
      await pool().releaseLease(undefined);
      if (former) await pool().takeLease(former);
      const racers = ["1", "2", "3", "4"].map((name) =>
        inOtherProcess(place(), ["lease", `racer ${name}`, `${now() + 600}`]),
      );
      const outcomes = await Promise.all(racers.map(({ ended }) => ended));
      const winners = outcomes.flatMap((text, i) => (text.includes("done") ? [`racer ${i + 1}`] : []));
      assert.equal(winners.length, 1, outcomes.join("; "));
      for (const text of outcomes) assert.match(text, /done|lease-held/);
      assert.equal((await pool().lease())?.holder, winners[0]);
    }
    await pool().releaseLease(undefined);
  });
}

export function journalTests({ pool, place, options }: Here): void {
  it("keeps lines in their order, whoever writes at the same time", async () => {
    assert.deepEqual(await pool().journal(), []);
    await pool().appendJournal('{"word":"first"}');
    const children = ["a", "b", "c"].map((word) => inOtherProcess(place(), ["journal", word, "20"]));
    for (const child of children) assert.match(await child.ended, /done/);
    const lines = (await pool().journal()).map((line) => JSON.parse(line) as { word: string; i: number });
    assert.equal(lines[0]?.word, "first");
    for (const word of ["a", "b", "c"]) {
      assert.deepEqual(
        lines.filter((line) => line.word === word).map(({ i }) => i),
        Array.from({ length: 20 }, (_, i) => i),
      );
    }
    await assert.rejects(pool().appendJournal("two\nlines"), /line/);
  });

  it("keeps the newest 1,000", async () => {
    const count = options.journalLines ?? 1010;
    for (let i = 0; i < count; i++) await pool().appendJournal(JSON.stringify({ word: "many", i }));
    const lines = await pool().journal();
    assert.equal(lines.length, Math.min(1000, 61 + count));
    assert.deepEqual(JSON.parse(lines.at(-1)!), { word: "many", i: count - 1 });
  });
}

export function documentTests({ pool }: Here): void {
  it("are kept whole, listed, replaced and removed", async () => {
    const big = Buffer.alloc(3 * MiB, "document");
    await pool().putDocument("system-b.json.gz", big);
    await pool().putDocument("system-a.json.gz", Buffer.from([0, 255, 10, 13]));
    await pool().putDocument("empty", Buffer.alloc(0));
    assert.deepEqual(await pool().documents(), ["empty", "system-a.json.gz", "system-b.json.gz"]);
    assert.deepEqual(Buffer.from((await pool().document("system-b.json.gz"))!), big);
    assert.deepEqual([...(await pool().document("system-a.json.gz"))!], [0, 255, 10, 13]);
    assert.equal((await pool().document("empty"))?.length, 0);
    await pool().putDocument("system-b.json.gz", Buffer.from("shorter"));
    assert.equal(Buffer.from((await pool().document("system-b.json.gz"))!).toString(), "shorter");
    assert.equal(await pool().document("absent"), undefined);
    await pool().removeDocument("empty");
    await pool().removeDocument("empty");
    assert.deepEqual(await pool().documents(), ["system-a.json.gz", "system-b.json.gz"]);
    assert.deepEqual(await pool().list(), []);
    await pool().sweep();
    assert.equal((await pool().documents()).length, 2);
  });
}
