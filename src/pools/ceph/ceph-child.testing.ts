import { plainAbout } from "../pool-sample.testing.ts";
import { type BaseSnapshot, changeBase, newestBase } from "./base-image.ts";
import { withBaseLock } from "./base-lock.ts";
import { openCephPool } from "./ceph-pool.ts";
import type { CephContext } from "./context.ts";
import { objectBytes } from "./rbd-driver.ts";
import { rbdHelper } from "./rbd-helper.ts";
import { cephRunner } from "./run-ceph.ts";
import type { CephSettings } from "./settings.ts";

/** What tests kill: `node ceph-child.testing.ts SETTINGS VERB ARGUMENT…`. Says `ready` before it begins. */
const [text, verb, ...words] = process.argv.slice(2) as [string, string, ...string[]];
const settings = JSON.parse(text) as CephSettings;
const about = plainAbout("volume");

/** IMAGE: everything that is done to images but publishing, over and over. */
async function turn(image: string): Promise<void> {
  const pool = openCephPool(settings);
  await pool.list();
  process.stdout.write("ready\n");
  for (let i = 0; ; i++) {
    const [volume, renamed, trial, candidate] = [`v-${i}`, `w-${i}`, `t-${i}`, `c-${i}`];
    await pool.createVolume(volume, 16 << 20, about);
    await pool.snapshot(volume, "s");
    await pool.clone({ image: volume, snapshot: "s" }, trial, plainAbout("trial"));
    await pool.restoreSnapshot(volume, "s");
    await pool.clone({ image }, candidate, plainAbout("candidate"));
    await pool.clone({ image: candidate }, `${trial}-root`, plainAbout("trial"));
    await pool.remove(`${trial}-root`);
    await pool.remove(trial);
    await pool.rename(volume, renamed);
    await pool.rename(candidate, `r-${i}`);
    await pool.removeSnapshot(renamed, "s");
    if (i % 2 === 0) await pool.remove(renamed);
  }
}

/** BASE: has its lock, has written most of a change to it, and never comes to its end. */
async function writeSlowly(image: string): Promise<void> {
  const rbd = rbdHelper(settings, "the pool");
  const context: CephContext = {
    settings,
    title: "the pool",
    rbd: async () => rbd,
    run: cephRunner(settings, "the pool"),
  };
  const base = { pool: settings.pool, image };
  const [found] = await rbd.images(base.pool, [image]);
  const current: BaseSnapshot = await newestBase(rbd, base, found!.size);
  await withBaseLock(context, base, new AbortController().signal, async () => {
    const objects = Array.from({ length: 7 }, (_, i) => ({ start: (9 + i) * objectBytes, length: objectBytes }));
    let count = 0;
    const read = (): Buffer => {
      // More than may be under way at once were sent before: some have been written.
      if (++count === objects.length) {
        process.stdout.write("ready\n");
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000);
      }
      return Buffer.alloc(objectBytes, 0xee);
    };
    await changeBase(rbd, current, new Map(), {
      zeros: [],
      writes: objects,
      read,
      signal: new AbortController().signal,
    });
  });
}

await { turn, writeSlowly }[verb]!(words[0]!);
