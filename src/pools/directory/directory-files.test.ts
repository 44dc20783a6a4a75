import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { sha256 } from "../../base/hash.ts";
import { diskRecipe } from "../../image/extent.ts";
import type { Publication } from "../pool.ts";
import { assertReads, qemuWith, reads, write } from "../pool-disks.testing.ts";
import { plainAbout, publishedAbout, sampleCentre } from "../pool-sample.testing.ts";
import { openBase, renewBase } from "./base-layers.ts";
import { directoryPool } from "./directory-pool.ts";
import { explained } from "./errors.ts";
import { isLockedForWriting } from "./openers.ts";
import { placesIn } from "./places.ts";

const centre = sampleCentre();
after(() => centre.remove());
const MiB = 1 << 20;

function freshPool() {
  const folder = mkdtempSync(join(tmpdir(), "meso-pool-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return { folder, pool: directoryPool(folder) };
}

const holds = (pool: ReturnType<typeof directoryPool>, { name, recipe }: Publication) =>
  assertReads(pool, name, recipe, centre.rawFile(recipe));

describe("the base of a directory", () => {
  /** Each brings one segment that was not there before: a part of one of the sample's. */
  const growing = (index: number): Publication => {
    const parts = Array.from({ length: index + 1 }, (_, i) => ({
      start: (1 + 2 * i) * 512 * 1024,
      length: (1 + (i % 5)) * 16 * 1024,
      source: { kind: "segment" as const, segment: "base", offset: i * 64 * 1024 },
    }));
    const name = `VMroot_growing_2025010101${10 + index}`;
    return { name, recipe: diskRecipe(64 * MiB, parts), about: publishedAbout("growing", sha256(`${index}`)) };
  };

  it("stays a short chain, however many publications bring something, and each byte is copied but a few times", async () => {
    const { folder, pool } = freshPool();
    let bytes = 0;
    for (let index = 0; index < 20; index++) {
      const report = await pool.publish([growing(index)], centre.sources);
      bytes += report.sharedBytes;
    }
    const { chain } = openBase(placesIn(folder));
    assert.ok(chain.length >= 2 && chain.length <= 8, `${chain.length} layers`);
    for (const index of [0, 7, 8, 9, 15, 19]) await holds(pool, growing(index));
    const brought = growing(19).recipe.extents.reduce((sum, { length }) => sum + length, 0);
    const tables = 20 * 24 * 1024;
    assert.ok(bytes < 4 * brought + tables, `${bytes} bytes written for ${brought}`);
    for (let index = 0; index < 19; index++) await pool.remove(growing(index).name);
    const gone = await pool.sweep();
    assert.ok(gone.length > 0, "layers that only removed images needed go");
    await holds(pool, growing(19));
    assert.equal(chainOf(pool.disk(growing(19).name)).length, 1 + readdirSync(join(folder, "base")).length);
  });

  it("is made anew when most of it is of no use, and images that lie upon the old one go on", async () => {
    const { folder, pool } = freshPool();
    const [old, young] = [centre.publication("web", 1), centre.publication("both", 3)];
    await pool.publish([old], centre.sources);
    await pool.publish([young], centre.sources);
    const places = placesIn(folder);
    const before = openBase(places);
    const shown = new Set(["library-2"].map((segment) => centre.sources.identify(segment)));
    assert.equal(await renewBase(places, before, new Set(before.view.map(({ content }) => content)), 0), undefined);
    const renewed = await renewBase(places, before, shown, 0);
    assert.equal(renewed?.chain.length, 1);
    assert.deepEqual(new Set(renewed.view.map(({ content }) => content)), shown);
    assert.deepEqual(openBase(places), renewed);
    for (const publication of [old, young]) await holds(pool, publication);
    const next = centre.publication("next", 2);
    await pool.publish([next], centre.sources);
    await holds(pool, next);
  });

  it("with records that cannot be read is passed over: images go on, and the next publication starts anew", async () => {
    for (const damage of [
      "",
      "{",
      '{"formatVersion":2}',
      '{"formatVersion":1,"size":1,"contents":[],"runs":[[1,2]]}',
    ]) {
      const { folder, pool } = freshPool();
      const [web, dns] = [centre.publication("web", 1), centre.publication("dns", 1)];
      await pool.publish([web], centre.sources);
      const record = join(folder, "base", "000001", "layer.json");
      rmSync(record);
      writeFileSync(record, damage);
      await pool.publish([dns], centre.sources);
      await pool.sweep();
      for (const publication of [web, dns]) await holds(pool, publication);
    }
  });

  it("is read-only, as published images are, and the folder can be moved", async () => {
    const { folder, pool } = freshPool();
    const web = centre.publication("web", 1);
    await pool.publish([web], centre.sources);
    await pool.clone({ image: web.name }, "candidate", plainAbout("candidate"));
    for (const path of [`images/${web.name}/disk.qcow2`, "base/000001/disk.qcow2"]) {
      assert.equal(statSync(join(folder, path)).mode & 0o222, 0, path);
    }
    const elsewhere = `${folder}-moved`;
    renameSync(folder, elsewhere);
    try {
      await assertReads(directoryPool(elsewhere), "candidate", web.recipe, centre.rawFile(web.recipe));
    } finally {
      renameSync(elsewhere, folder);
    }
  });
});

describe("snapshots in a directory", () => {
  it("that are removed give their layers back, when no machine has the volume", async () => {
    const { folder, pool } = freshPool();
    const mark = (index: number) => ({ at: index * 100_000, length: 5000, byte: index + 1 });
    await pool.createVolume("state", 64 * MiB, plainAbout("volume"));
    for (let index = 0; index < 4; index++) {
      await write(pool, "state", mark(index));
      await pool.snapshot("state", `s${index}`);
    }
    assert.equal(chainOf(pool.disk("state")).length, 5);
    const machine = await qemuWith(pool, "state");
    try {
      await pool.removeSnapshot("state", "s3");
      assert.equal(chainOf(pool.disk("state")).length, 5, "the machine has that layer open");
    } finally {
      await machine.end();
    }
    await pool.sweep();
    assert.equal(chainOf(pool.disk("state")).length, 4);
    await pool.removeSnapshot("state", "s1");
    await pool.removeSnapshot("state", "s0");
    assert.equal(chainOf(pool.disk("state")).length, 2);
    for (let index = 0; index < 4; index++) assert.equal(await reads(pool, "state", mark(index)), true);
    await pool.restoreSnapshot("state", "s2");
    for (let index = 0; index < 4; index++) assert.equal(await reads(pool, "state", mark(index)), index < 3);
    assert.deepEqual(readdirSync(join(folder, "images", "state")).sort(), [
      "about.json",
      "disk.qcow2",
      "layer-3.qcow2",
      "snapshots.json",
    ]);
  });

  it("killed half way leave the disk as it was", async () => {
    const { folder, pool } = freshPool();
    await pool.createVolume("state", MiB, plainAbout("volume"));
    const disk = join(folder, "images", "state", "disk.qcow2");
    linkSync(disk, join(folder, "images", "state", "layer-1.qcow2"));
    const mark = { at: 0, length: 4096, byte: 9 };
    await write(pool, "state", mark);
    assert.deepEqual(await pool.snapshots("state"), []);
    assert.deepEqual(await pool.sweep(), ["state/layer-1.qcow2"]);
    assert.equal(await reads(pool, "state", mark), true);
  });

  it("are not lost when their list cannot be read", async () => {
    const { folder, pool } = freshPool();
    await pool.createVolume("state", MiB, plainAbout("volume"));
    await pool.snapshot("state", "one");
    writeFileSync(join(folder, "images", "state", "snapshots.json"), '{"formatVersion":1,"snapshots":[{"name":1}]}');
    for (const call of [
      () => pool.sweep(),
      () => pool.snapshots("state"),
      () => pool.restoreSnapshot("state", "one"),
    ]) {
      await assert.rejects(call(), /snapshots.json cannot be read/);
    }
    assert.ok(existsSync(join(folder, "images", "state", "layer-1.qcow2")));
  });
});

describe("an image of a directory", () => {
  it("that was adopted and is being renamed when the process dies is one image", async () => {
    const { folder, pool } = freshPool();
    mkdirSync(join(folder, "images"), { recursive: true });
    writeFileSync(join(folder, "images", "theirs"), Buffer.alloc(MiB, 5));
    await pool.adopt("theirs", plainAbout("root"));
    // Up to the moment at which the new name is there and the old one not yet gone.
    mkdirSync(join(folder, "images", "ours"));
    writeFileSync(join(folder, "images", "ours", "about.json"), JSON.stringify(plainAbout("root")));
    linkSync(join(folder, "images", "theirs"), join(folder, "images", "ours", "disk.raw"));
    const names = async () => (await pool.list()).map(({ name }) => name);
    assert.deepEqual(await names(), ["ours"]);
    await pool.sweep();
    assert.deepEqual(readdirSync(join(folder, "images")), ["ours"]);
    assert.deepEqual(readdirSync(join(folder, "adopted")), []);
    await pool.clone({ image: "ours" }, "copy", plainAbout("trial"));
    await write(pool, "ours", { at: 0, length: 4096, byte: 6 });
    assert.equal(await reads(pool, "copy", { at: 0, length: MiB, byte: 5 }), true);
    assert.equal((await pool.list()).find(({ name }) => name === "ours")?.size, MiB);
  });

  it("is not ours when another file has taken the place of an adopted one, or a newer program wrote on it", async () => {
    const { folder, pool } = freshPool();
    mkdirSync(join(folder, "images", "newer"), { recursive: true });
    writeFileSync(join(folder, "images", "theirs"), Buffer.alloc(MiB, 5));
    await pool.adopt("theirs", plainAbout("root"));
    writeFileSync(join(folder, "other"), Buffer.alloc(MiB, 6));
    renameSync(join(folder, "other"), join(folder, "images", "theirs"));
    writeFileSync(join(folder, "images", "newer", "disk.raw"), Buffer.alloc(MiB));
    writeFileSync(
      join(folder, "images", "newer", "about.json"),
      JSON.stringify({ ...plainAbout("root"), formatVersion: 2 }),
    );
    assert.deepEqual(
      (await pool.list()).map(({ name, about }) => [name, about]),
      [
        ["newer", undefined],
        ["theirs", undefined],
      ],
    );
  });
});

describe("a directory", () => {
  it("tells what is missing before anything is done", async () => {
    const { folder } = freshPool();
    writeFileSync(join(folder, "file"), "");
    const codes = async (path: string) => (await directoryPool(path).check()).map(({ code }) => code);
    assert.deepEqual(await codes(join(folder, "not", "yet")), []);
    assert.deepEqual(await codes(join(folder, "file", "below")), ["pool-unreachable"]);
    const path = process.env.PATH;
    try {
      process.env.PATH = folder;
      assert.deepEqual(await codes(folder), ["qemu-missing"]);
    } finally {
      process.env.PATH = path;
    }
    assert.deepEqual(await directoryPool(join(folder, "absent")).list(), []);
  });

  it("says in the words of pools what the file system refused", () => {
    const error = (code: string) => Object.assign(new Error(code), { code });
    const code = (of: unknown) => (explained(of, "/pool") as { code: string }).code;
    assert.throws(
      () => writeFileSync("/dev/full", "x"),
      (full) => code(full) === "pool-full",
    );
    assert.equal(code(error("EACCES")), "pool-forbidden");
    assert.equal(code(error("EIO")), "pool-unreachable");
    const bug = new Error("a bug");
    assert.equal(explained(bug, "/pool"), bug);
  });

  it("knows QEMU's writers by their locks", () => {
    const device = 0xfe01;
    const line = (place: string, range: string) => `8: OFDLCK ADVISORY  READ -1 ${place} ${range}\n`;
    const locked = (text: string) => isLockedForWriting(text, device, 4711);
    assert.equal(locked(line("fe:01:4711", "100 101")), true);
    assert.equal(locked(`${line("fe:01:1", "0 EOF")}${line("fe:01:4711", "101 101")}`), true);
    assert.equal(locked(line("fe:01:4711", "0 EOF")), true);
    assert.equal(locked(line("00:1f:4711", "100 101")), true, "Btrfs shows no device of stat(2)");
    for (const [place, range] of [
      ["fe:01:4711", "100 100"],
      ["fe:01:4711", "201 203"],
      ["fe:01:47110", "100 101"],
      ["fe:02:4711", "100 101"],
      ["fe:01:4711", ""],
    ] as const) {
      assert.equal(locked(line(place, range)), false, `${place} ${range}`);
    }
  });
});

/** Files from the disk down, as QEMU finds them. */
function chainOf(location: { readonly kind: string; readonly path?: string }): readonly unknown[] {
  assert.equal(location.kind, "file");
  const args = ["info", "-U", "--backing-chain", "--output=json", location.path!];
  return JSON.parse(execFileSync("qemu-img", args, { encoding: "utf8" })) as unknown[];
}
