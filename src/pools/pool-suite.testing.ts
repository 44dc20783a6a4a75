import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { ImageAbout } from "./about.ts";
import { assertReads, digest, reads, write } from "./pool-disks.testing.ts";
import {
  plainAbout,
  type SampleCentre,
  sampleCentre,
  sampleDiskBytes,
  sampleUnread,
  segmentSizes,
} from "./pool-sample.testing.ts";
import { documentTests, journalTests, leaseTests } from "./pool-suite-bookkeeping.testing.ts";
import {
  assertHolds,
  type FreshPool,
  type Here,
  imageNamed,
  refused,
  type SuiteOptions,
} from "./pool-suite-context.testing.ts";
import { killedPublicationTests, renameTests } from "./pool-suite-interrupted.testing.ts";

const MiB = 1 << 20;

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
