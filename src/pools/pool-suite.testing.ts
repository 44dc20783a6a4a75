import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { MesoError } from "../base/error.ts";
import type { ImageAbout } from "./about.ts";
import type { ImageName, Lease, Pool, Publication } from "./pool.ts";
import { assertReads, digest, qemuWith, reads, write } from "./pool-disks.testing.ts";
import {
  plainAbout,
  type SampleCentre,
  sampleCentre,
  sampleDiskBytes,
  sampleUnread,
  segmentSizes,
} from "./pool-sample.testing.ts";

const MiB = 1 << 20;

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

/** What every pool promises, whatever it is made of. Disks are read back by QEMU's own tools. */
export function poolSuite(title: string, fresh: () => Promise<FreshPool>, options: SuiteOptions): void {
  describe(title, () => {
    let centre: SampleCentre;
    before(() => {
      centre = sampleCentre();
    });
    after(() => centre?.remove());
    const context = (name: string, tests: (here: Here) => void) =>
      describe(name, () => {
        let place: FreshPool;
        before(async () => {
          place = await fresh();
        });
        after(() => place?.remove());
        tests({
          pool: () => place.pool,
          place: () => place,
          centre: () => centre,
          options,
        });
      });
    context("names", nameTests);
    context("publishing", publishingTests);
    context("a killed publication", killedPublicationTests);
    context("clones", cloneTests);
    context("renaming", renameTests);
    context("volumes", volumeTests);
    context("removal", removalTests);
    context("what is not ours", foreignTests);
    context("the lease", leaseTests);
    context("the journal", journalTests);
    context("documents", documentTests);
  });
}

interface Here {
  readonly pool: () => Pool;
  readonly place: () => FreshPool;
  readonly centre: () => SampleCentre;
  readonly options: SuiteOptions;
}

function nameTests({ pool, centre }: Here): void {
  const wrong = ["", "-x", ".x", "a/b", "a b", "a@b", "ä", "a\0b", "../x", "a".repeat(201), "_candidate"];

  it("are refused when some pool would not take them, by every verb", async () => {
    const about = plainAbout("volume");
    for (const name of wrong) {
      const verbs: Record<string, () => Promise<unknown>> = {
        createVolume: () => pool().createVolume(name, MiB, about),
        cloneTo: () => pool().clone({ image: "some" }, name, about),
        cloneFrom: () => pool().clone({ image: name }, "some", about),
        renameFrom: () => pool().rename(name, "some"),
        renameTo: () => pool().rename("some", name),
        describe: () => pool().describe(name, about),
        remove: () => pool().remove(name),
        snapshot: () => pool().snapshot("some", name),
        openers: () => pool().openers(name),
        publish: () => pool().publish([{ ...centre().publication("web", 1), name }], centre().sources),
        putDocument: () => pool().putDocument(name, Buffer.from("x")),
      };
      for (const [verb, call] of Object.entries(verbs)) {
        await refused(call(), "wrong-image-name", `${verb} of ${JSON.stringify(name)}`);
      }
    }
    assert.deepEqual(await pool().list(), []);
  });

  it("may be long and hold all that is allowed", async () => {
    const name = `0.A_z-${"n".repeat(194)}`;
    await pool().createVolume(name, MiB, plainAbout("volume"));
    assert.deepEqual(
      (await pool().list()).map((image) => image.name),
      [name],
    );
    await pool().remove(name);
  });

  it("of what is not there", async () => {
    const about = plainAbout("volume");
    await refused(pool().rename("absent", "other"), "no-image");
    await refused(pool().clone({ image: "absent" }, "other", about), "no-image");
    await refused(pool().describe("absent", about), "no-image");
    await refused(pool().adopt("absent", about), "no-image");
    await refused(pool().snapshot("absent", "s"), "no-image");
    await refused(pool().restoreSnapshot("absent", "s"), "no-image");
    await pool().remove("absent");
    assert.deepEqual(await pool().check(), []);
  });
}

function publishingTests({ pool, centre, options }: Here): void {
  const segments = (...names: (keyof typeof segmentSizes)[]) =>
    names.reduce((sum, name) => sum + segmentSizes[name], 0);
  const machines = ["web", "dns", "slurm/ctld"];
  const { bases = 1 } = options;
  const first = () => machines.map((machine) => centre().publication(machine, 1));

  it("makes images whose bytes are the recipe's, and writes what they share once", async () => {
    const published: string[] = [];
    const report = await pool().publish(first(), {
      ...centre().sources,
      onPublished: (name) => published.push(name),
    });
    const names = first().map(({ name }) => name);
    assert.deepEqual(published.sort(), [...names].sort());
    assert.deepEqual(
      (await pool().list()).map(({ name, size, about, parent }) => ({ name, size, about, parent })),
      first()
        .sort((a, b) => (a.name < b.name ? -1 : 1))
        .map(({ name, about }) => ({ name, size: sampleDiskBytes, about, parent: undefined })),
    );
    for (const publication of first()) await assertHolds(pool(), publication, centre());
    assert.deepEqual(report.unchanged, []);
    const shared = segments("base", "library", "kernel", "tools");
    assert.ok(report.sharedBytes >= shared, `${report.sharedBytes} shared bytes`);
    assert.ok(report.sharedBytes < bases * shared + options.overheadPerImage, `${report.sharedBytes} shared bytes`);
    assert.ok(report.ownBytes < machines.length * (160 * 1024 + options.overheadPerImage), `${report.ownBytes} own`);
  });

  it("writes nothing when nothing has changed", async () => {
    const report = await pool().publish(first(), centre().sources);
    assert.deepEqual(
      { ...report, unchanged: [...report.unchanged].sort() },
      {
        sharedBytes: 0,
        ownBytes: 0,
        unchanged: first()
          .map(({ name }) => name)
          .sort(),
      },
    );
  });

  it("refuses a name that holds another image, and changes nothing", async () => {
    const [web] = first();
    const other = { ...centre().publication("web", 2), name: web!.name };
    await refused(pool().publish([other], centre().sources), "image-exists");
    await assertHolds(pool(), web!, centre());
  });

  it("writes an update's segment once, and leaves older images as they were", async () => {
    const second = machines.map((machine) => centre().publication(machine, 2));
    const report = await pool().publish(second, centre().sources);
    assert.ok(report.sharedBytes >= segmentSizes["library-2"], `${report.sharedBytes} shared bytes`);
    assert.ok(report.sharedBytes < bases * segmentSizes["library-2"] + options.overheadPerImage);
    for (const publication of [...first(), ...second]) await assertHolds(pool(), publication, centre());
  });

  it("reads as the recipe where another segment has taken the place, and where a hole was when others had none", async () => {
    const [third, fourth] = ([3, 4] as const).map((version) =>
      machines.map((machine) => centre().publication(machine, version)),
    );
    const report = await pool().publish(third!, centre().sources);
    // The new kernel lies where the old one does: it, too, is shared.
    assert.ok(report.sharedBytes < bases * segmentSizes["kernel-2"] + options.overheadPerImage);
    assert.ok(report.ownBytes < machines.length * (160 * 1024 + options.overheadPerImage), `${report.ownBytes} own`);
    await pool().publish(fourth!, centre().sources);
    const colliding = ["big", "both"].map((machine) => centre().publication(machine, 1));
    await pool().publish(colliding, centre().sources);
    const again = centre().publication("late", 1);
    await pool().publish([again], centre().sources);
    for (const publication of [...first(), ...third!, ...fourth!, ...colliding, again]) {
      await assertHolds(pool(), publication, centre());
    }
  });

  it("says what is used, for each image and for what they share", async () => {
    const usage = await pool().usage();
    const names = (await pool().list()).map(({ name }) => name);
    assert.deepEqual([...usage.keys()].sort(), ["", ...names].sort());
    const union = segments("base", "library", "library-2", "kernel", "kernel-2", "tools", "extra", "large");
    assert.ok(usage.get("")! >= union / 2, `${usage.get("")} bytes in the base`);
    for (const name of names) assert.ok(usage.get(name)! < segmentSizes.large, `${name}: ${usage.get(name)} bytes`);
  });

  it("stops when told to, and goes on another time", async () => {
    const controller = new AbortController();
    const more = [..."abcdefghijkl"].map((machine) => centre().publication(machine, 1));
    const interrupted = pool().publish(more, {
      ...centre().sources,
      signal: controller.signal,
      onPublished: () => controller.abort(),
    });
    await assert.rejects(interrupted);
    const there = (await pool().list()).filter(({ name }) => more.some((one) => one.name === name));
    assert.ok(there.length > 0 && there.length < more.length, `${there.length} of ${more.length}`);
    await pool().publish(more, centre().sources);
    for (const publication of more) await assertHolds(pool(), publication, centre());
  });

  it("fails whole when a segment cannot be read", async () => {
    const [damaged, there] = [centre().publication("damaged", 4), await pool().list()];
    const files = {
      segmentDataPath: (segment: string) =>
        centre().sources.files.segmentDataPath(segment === "extra" ? "no" : segment),
    };
    // What the base holds already is not read again; `unread` has none of it.
    const unread = { ...damaged, name: "unread", recipe: sampleUnread() };
    await assert.rejects(pool().publish([unread], { ...centre().sources, files }));
    assert.deepEqual(await pool().list(), there);
    await pool().sweep();
    assert.deepEqual(await pool().list(), there);
    await pool().publish([unread], centre().sources);
    await assertHolds(pool(), unread, centre());
  });

  it("by two at once makes the same images", async () => {
    const [left, right] = [
      ["p", "q", "r"],
      ["r", "q", "s"],
    ].map((names) => names.map((machine) => centre().publication(machine, 2)));
    await Promise.all([left!, right!].map((publications) => pool().publish(publications, centre().sources)));
    for (const publication of [...left!, ...right!]) await assertHolds(pool(), publication, centre());
  });
}

function killedPublicationTests({ pool, place, centre, options }: Here): void {
  it("leaves nothing that could be taken for an image, and the next one completes", async () => {
    const machines = ["one", "two", "big"];
    const whole = inOtherProcess(place(), ["publish", "1", "whole", "more", "most"]);
    await whole.ready;
    const began = performance.now();
    await whole.done;
    const milliseconds = performance.now() - began;
    assert.match(await whole.ended, /done/);
    let killed = 0;
    for (let i = 0; i < options.kills; i++) {
      const version = ([1, 2, 3, 4] as const)[i % 4]!;
      const publications = machines.map((machine) => centre().publication(machine, version));
      const child = inOtherProcess(place(), ["publish", `${version}`, ...machines]);
      await child.ready;
      await Promise.race([sleep((milliseconds * i) / options.kills), child.ended]);
      child.kill(i % 2 === 0);
      if (!(await child.ended).includes("done")) killed++;
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

function cloneTests({ pool, centre }: Here): void {
  const published = () => centre().publication("web", 1);
  const candidate = "VMroot_web_candidate";

  it("reads as what it is a clone of, and keeps its writes to itself", async () => {
    await pool().publish([published()], centre().sources);
    await pool().clone({ image: published().name }, candidate, plainAbout("candidate"));
    await assertReads(pool(), candidate, published().recipe, centre().rawFile(published().recipe));
    await write(pool(), candidate, { at: 12 * MiB + 512, length: 5000, byte: 0xab });
    await assertHolds(pool(), published(), centre());
    assert.equal(await reads(pool(), candidate, { at: 12 * MiB + 512, length: 5000, byte: 0xab }), true);
    const image = await imageNamed(pool(), candidate);
    assert.deepEqual(
      { about: image.about, parent: image.parent, size: image.size },
      { about: plainAbout("candidate"), parent: published().name, size: sampleDiskBytes },
    );
  });

  it("of a taken name is refused", async () => {
    await refused(
      pool().clone({ image: published().name }, candidate, plainAbout("candidate", "other")),
      "image-exists",
    );
    assert.deepEqual((await imageNamed(pool(), candidate)).about, plainAbout("candidate"));
  });

  it("outlives a change of its name, and its parent is kept while it lives", async () => {
    const root = "vm-233-root-202501020304";
    await pool().rename(candidate, root);
    assert.equal((await imageNamed(pool(), root)).parent, published().name);
    assert.equal(await reads(pool(), root, { at: 12 * MiB + 512, length: 5000, byte: 0xab }), true);
    await refused(pool().remove(published().name), "image-has-children");
    await pool().remove(root);
    await pool().remove(published().name);
    assert.deepEqual(await pool().list(), []);
  });
}

function renameTests({ pool, place, options }: Here): void {
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

function volumeTests({ pool }: Here): void {
  const about = plainAbout("volume");
  const mark = (byte: number) => ({ at: MiB + 4096, length: 70_000, byte });

  it("are empty disks; one of that name and size is fine, another size is not", async () => {
    await pool().createVolume("state", 64 * MiB, about);
    await pool().createVolume("state", 64 * MiB, about);
    await refused(pool().createVolume("state", 32 * MiB, about), "image-exists");
    const image = await imageNamed(pool(), "state");
    assert.deepEqual([image.size, image.about, image.parent], [64 * MiB, about, undefined]);
    assert.equal(await reads(pool(), "state", { at: 0, length: 8 * MiB, byte: 0 }), true);
  });

  it("can be brought back to a snapshot, any number of times", async () => {
    await write(pool(), "state", mark(1));
    await pool().snapshot("state", "one");
    await write(pool(), "state", mark(2));
    await pool().snapshot("state", "two");
    await pool().snapshot("state", "two");
    await write(pool(), "state", mark(3));
    assert.deepEqual(await pool().snapshots("state"), ["one", "two"]);
    await pool().restoreSnapshot("state", "one");
    assert.equal(await reads(pool(), "state", mark(1)), true);
    await pool().restoreSnapshot("state", "two");
    assert.equal(await reads(pool(), "state", mark(2)), true);
    await write(pool(), "state", mark(4));
    await pool().restoreSnapshot("state", "two");
    assert.equal(await reads(pool(), "state", mark(2)), true);
    await refused(pool().restoreSnapshot("state", "three"), "no-snapshot");
    assert.deepEqual(await pool().snapshots("state"), ["one", "two"]);
  });

  it("can be tried on a clone of a snapshot, which does not change them", async () => {
    await write(pool(), "state", mark(5));
    await pool().clone({ image: "state", snapshot: "one" }, "state-trial", plainAbout("trial"));
    assert.equal(await reads(pool(), "state-trial", mark(1)), true);
    await write(pool(), "state-trial", mark(6));
    assert.equal(await reads(pool(), "state", mark(5)), true);
    assert.equal((await imageNamed(pool(), "state-trial")).parent, "state");
    await refused(pool().clone({ image: "state", snapshot: "none" }, "x", plainAbout("trial")), "no-snapshot");
    await refused(pool().remove("state"), "image-has-children");
    // What a trial stands on is neither moved nor taken away.
    await pool().restoreSnapshot("state", "two");
    assert.equal(await reads(pool(), "state", mark(2)), true);
    assert.equal(await reads(pool(), "state-trial", mark(6)), true);
    await pool().remove("state-trial");
  });

  it("forget snapshots, and go with them", async () => {
    await pool().removeSnapshot("state", "one");
    await pool().removeSnapshot("state", "one");
    assert.deepEqual(await pool().snapshots("state"), ["two"]);
    assert.equal(await reads(pool(), "state", mark(2)), true);
    await pool().snapshot("state", "one");
    await write(pool(), "state", mark(7));
    await pool().restoreSnapshot("state", "one");
    assert.equal(await reads(pool(), "state", mark(2)), true);
    await pool().remove("state");
    assert.deepEqual(await pool().list(), []);
    await pool().sweep();
    assert.deepEqual([...(await pool().usage()).keys()].filter(Boolean), []);
  });
}

function removalTests({ pool, centre }: Here): void {
  it("gives back what only removed images used, and keeps what others read", async () => {
    const [web, big] = [centre().publication("web", 1), centre().publication("big", 2)];
    await pool().publish([web], centre().sources);
    await pool().publish([big], centre().sources);
    await pool().remove(web.name);
    await pool().sweep();
    await assertHolds(pool(), big, centre());
    await pool().publish([web], centre().sources);
    await assertHolds(pool(), web, centre());
    for (const { name } of [web, big]) await pool().remove(name);
    await pool().remove(web.name);
    assert.deepEqual(await pool().list(), []);
  });
}

function foreignTests({ pool, place }: Here): void {
  it("is listed and never touched", async () => {
    await place().makeForeign("theirs");
    await pool().createVolume("ours", MiB, plainAbout("volume"));
    const image = await imageNamed(pool(), "theirs");
    assert.deepEqual([image.about, image.size], [undefined, MiB]);
    const before = await digest(pool(), "theirs");
    const about = plainAbout("root");
    await refused(pool().describe("theirs", about), "foreign-image");
    await refused(pool().remove("theirs"), "foreign-image");
    await refused(pool().rename("theirs", "mine"), "foreign-image");
    await refused(pool().rename("ours", "theirs"), "image-exists");
    await refused(pool().createVolume("theirs", MiB, about), "image-exists");
    await refused(pool().snapshot("theirs", "s"), "foreign-image");
    await refused(pool().restoreSnapshot("theirs", "s"), "foreign-image");
    await pool().sweep();
    assert.equal(await digest(pool(), "theirs"), before);
  });

  it("becomes ours only by being adopted, contents and all", async () => {
    const before = await digest(pool(), "theirs");
    const about: ImageAbout = plainAbout("root");
    await pool().adopt("theirs", about);
    await pool().adopt("theirs", { ...about, shape: "small" });
    assert.deepEqual((await imageNamed(pool(), "theirs")).about, { ...about, shape: "small" });
    assert.equal(await digest(pool(), "theirs"), before);
    await pool().rename("theirs", "adopted");
    assert.equal(await digest(pool(), "adopted"), before);
    await pool().remove("adopted");
    assert.deepEqual(
      (await pool().list()).map(({ name }) => name),
      ["ours"],
    );
  });
}

function leaseTests({ pool, place }: Here): void {
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

function journalTests({ pool, place, options }: Here): void {
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

function documentTests({ pool }: Here): void {
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

/** Rejects with that code, and with nothing that looks like a secret or a stack. */
async function refused(call: Promise<unknown>, code: string, what = code): Promise<MesoError> {
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
async function retried<T>(call: () => Promise<T>, { forgetsAfter = 0 }: SuiteOptions): Promise<T> {
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

async function imageNamed(pool: Pool, name: ImageName) {
  const image = (await pool.list()).find((one) => one.name === name);
  assert.ok(image, `${name} is listed`);
  return image;
}

/** The published image has, byte for byte, what its recipe says: QEMU reads it, a raw file made by us is the measure. */
async function assertHolds(pool: Pool, { name, recipe }: Publication, centre: SampleCentre): Promise<void> {
  await assertReads(pool, name, recipe, centre.rawFile(recipe));
}

const childProgram = fileURLToPath(new URL("pool-child.testing.ts", import.meta.url));

/**
 * Something done to the pool by a process that can be killed. `ended` gives all that it said, once whatever it has
 * started has ended too: a helper that is alone brings the call it has begun to its end.
 */
function inOtherProcess(place: FreshPool, words: readonly string[]) {
  const child: ChildProcess = spawn(
    process.execPath,
    [childProgram, place.opener, JSON.stringify(place.settings), ...words],
    { stdio: ["ignore", "pipe", "inherit"], detached: true, env: { ...process.env, NODE_TEST_CONTEXT: undefined } },
  );
  let said = "";
  const ended = new Promise<string>((resolve) => {
    child.once("close", () => void groupEnds(child.pid!).then(() => resolve(said)));
  });
  child.stdout!.on("data", (chunk) => {
    said += chunk;
  });
  const says = (word: string) =>
    new Promise<void>((resolve) => {
      child.stdout!.on("data", () => {
        if (said.includes(word)) resolve();
      });
      child.once("close", () => resolve());
    });
  const [ready, done] = [says("ready"), says("done")];
  /** Alone, or with whatever it has started. */
  const kill = (withChildren: boolean) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    process.kill(withChildren ? -child.pid! : child.pid!, "SIGKILL");
  };
  return { ready, done, ended, kill };
}

/** Resolves when no process is left of the group. */
export async function groupEnds(group: number): Promise<void> {
  for (let tries = 0; tries < 1200; tries++) {
    try {
      process.kill(-group, 0);
    } catch {
      return;
    }
    await sleep(25);
  }
}
