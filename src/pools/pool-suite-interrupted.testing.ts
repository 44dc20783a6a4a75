import assert from "node:assert/strict";
import { it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { qemuWith, reads, write } from "./pool-disks.testing.ts";
import { inOtherProcess } from "./pool-other-process.testing.ts";
import { plainAbout } from "./pool-sample.testing.ts";
import { assertHolds, type Here, imageNamed, refused, retried } from "./pool-suite-context.testing.ts";

// What others see when a process is killed in the middle of publishing or renaming, or several want the same.

const MiB = 1 << 20;

export function killedPublicationTests({ pool, place, centre, options }: Here): void {
  it("leaves nothing that could be taken for an image, and the next one completes", async () => {
    const machines = ["one", "two", "big"];
    const whole = inOtherProcess(place(), ["publish", "1", "whole", "more", "most"]);
    await whole.ready;
    const began = performance.now();
    await whole.done;
    let milliseconds = performance.now() - began;
    assert.match(await whole.ended, /done/);
    let killed = 0;
    for (let i = 0; i < options.kills || (killed < options.kills / 2 && i < 4 * options.kills); i++) {
      const version = ([1, 2, 3, 4] as const)[i % 4]!;
      const publications = machines.map((machine) => centre().publication(machine, version));
      const child = inOtherProcess(place(), ["publish", `${version}`, ...machines]);
      await child.ready;
      const started = performance.now();
      await Promise.race([sleep((milliseconds * (i % options.kills)) / options.kills), child.ended]);
      child.kill(i % 2 === 0);
      // The first may have been slow, beside other work: then the moments are chosen by those that got done.
      if ((await child.ended).includes("done")) milliseconds = Math.min(milliseconds, performance.now() - started);
      else killed++;
      const there = new Set((await pool().list()).map(({ name }) => name));
      for (const publication of publications) {
        if (there.has(publication.name)) await assertHolds(pool(), publication, centre());
      }
      if (i % 3 === 2) {
        await retried(() => pool().sweep(), options);
        assert.deepEqual(await pool().sweep(), []);
      }
      await retried(() => pool().publish(publications, centre().sources), options);
      await assertHolds(pool(), publications[i % 3]!, centre());
      for (const { name } of publications) await retried(() => pool().remove(name), options);
    }
    assert.ok(killed >= options.kills / 2, `only ${killed} of ${options.kills} publications were killed`);
    await assertHolds(pool(), centre().publication("whole", 1), centre());
  });
}

export function renameTests({ pool, place, options }: Here): void {
  const about = plainAbout("volume");

  it("refuses a taken name, and of many at once to one name lets one through", async () => {
    const names = ["a", "b", "c", "d"];
    for (const name of names) await pool().createVolume(name, MiB, { ...about, machine: name });
    await refused(pool().rename("a", "b"), "image-exists");
    const outcomes = await Promise.allSettled(names.map((name) => pool().rename(name, "taken")));
    assert.deepEqual(outcomes.map(({ status }) => status).sort(), ["fulfilled", "rejected", "rejected", "rejected"]);
    const winner = names[outcomes.findIndex(({ status }) => status === "fulfilled")]!;
    assert.equal((await imageNamed(pool(), "taken")).about?.machine, winner);
    assert.deepEqual(
      (await pool().list()).map(({ name }) => name),
      [...names.filter((name) => name !== winner), "taken"],
    );
  });

  it("refuses an image that QEMU has open, and so do all that would pull it from under it", async () => {
    const snapshotted = "held";
    await pool().createVolume(snapshotted, MiB, about);
    await pool().snapshot(snapshotted, "before");
    assert.deepEqual(await pool().openers(snapshotted), []);
    const machine = await qemuWith(pool(), snapshotted);
    try {
      const openers = await pool().openers(snapshotted);
      assert.equal(openers.length, 1, openers.join("; "));
      await refused(pool().rename(snapshotted, "other"), "image-in-use");
      await refused(pool().remove(snapshotted), "image-in-use");
      await refused(pool().restoreSnapshot(snapshotted, "before"), "image-in-use");
      await pool().describe(snapshotted, { ...about, intent: "something" });
      const during = pool().snapshot(snapshotted, "during");
      await (options.snapshotsInUse ? during : refused(during, "image-in-use"));
      await pool().clone({ image: snapshotted, snapshot: "before" }, "beside", plainAbout("trial"));
      await pool().remove("beside");
    } finally {
      await machine.end();
    }
    assert.deepEqual(await pool().openers(snapshotted), []);
    await pool().rename(snapshotted, "other");
    assert.equal((await imageNamed(pool(), "other")).about?.intent, "something");
  });

  it("killed at any moment leaves the image under one of both names", async () => {
    await pool().createVolume("here", MiB, about);
    await write(pool(), "here", { at: 4096, length: 4096, byte: 7 });
    for (let i = 0; i < 5; i++) {
      const from = (await pool().list()).some(({ name }) => name === "here") ? "here" : "there";
      const child = inOtherProcess(place(), ["rename", from, from === "here" ? "there" : "here"]);
      await child.ready;
      await sleep(20 + 35 * i);
      child.kill(i % 2 === 0);
      await child.ended;
      const found = async () => (await pool().list()).filter(({ name }) => name === "here" || name === "there");
      let left = await found();
      // What the killed one had asked for may still be done by whoever it asked, also while it is looked for.
      const isWhole = async () =>
        left.length === 1 && (await reads(pool(), left[0]!.name, { at: 4096, length: 4096, byte: 7 }));
      for (let tries = 0; tries < 10 && !(await isWhole()); tries++) {
        assert.ok(left.length < 2, left.map(({ name }) => name).join());
        await sleep(500);
        left = await found();
      }
      assert.equal(await isWhole(), true, left.map(({ name }) => name).join());
      // Both names must be usable again, whatever the killed one has left.
      const other = left[0]!.name === "here" ? "there" : "here";
      await retried(() => pool().rename(left[0]!.name, other), options);
    }
    await retried(() => pool().sweep(), options);
  });

  it("description killed at any moment is the old or the new one", async () => {
    await pool().createVolume("described", MiB, about);
    for (let i = 0; i < 3; i++) {
      const child = inOtherProcess(place(), ["describe", "described"]);
      await child.ready;
      await sleep(30 + 50 * i);
      child.kill(i % 2 === 0);
      await child.ended;
      const image = await imageNamed(pool(), "described");
      assert.ok(image.about, "the image is still ours");
    }
  });
}
