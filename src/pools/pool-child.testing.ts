import { failure } from "../base/error.ts";
import type { Pool } from "./pool.ts";
import { plainAbout, sampleCentre, type Version } from "./pool-sample.testing.ts";

/**
 * What tests do to a pool from another process, to kill it: `node pool-child.testing.ts OPENER SETTINGS VERB ARGUMENT…`.
 * OPENER is a module whose `openForTest(settings)` gives the pool. Says `ready` before it begins, and `done`.
 */
const [opener, settings, verb, ...words] = process.argv.slice(2) as [string, string, string, ...string[]];
const { openForTest } = (await import(opener)) as { openForTest: (settings: unknown) => Pool };
const pool = openForTest(JSON.parse(settings));

const verbs: Record<string, () => Promise<void>> = {
  /** VERSION MACHINE… */
  publish: async () => {
    const centre = sampleCentre();
    try {
      const [version, ...machines] = words;
      const publications = machines.map((machine) => centre.publication(machine, Number(version) as Version));
      process.stdout.write("ready\n");
      await pool.publish(publications, centre.sources);
    } finally {
      centre.remove();
    }
  },
  /** FROM TO: to and fro, without end. */
  rename: async () => {
    const [from, to] = words as [string, string];
    process.stdout.write("ready\n");
    for (;;) {
      await pool.rename(from, to);
      await pool.rename(to, from);
    }
  },
  /** NAME: described over and over. */
  describe: async () => {
    process.stdout.write("ready\n");
    for (let i = 0; ; i++) await pool.describe(words[0]!, { ...plainAbout("volume"), intent: `${i}`.repeat(50) });
  },
  /** HOLDER EXPIRES */
  lease: async () => {
    const [holder, expires] = words as [string, string];
    process.stdout.write("ready\n");
    await pool.takeLease({ holder, purpose: "race", since: 1, expires: Number(expires) });
  },
  /** WORD COUNT */
  journal: async () => {
    process.stdout.write("ready\n");
    for (let i = 0; i < Number(words[1]); i++) await pool.appendJournal(JSON.stringify({ word: words[0], i }));
  },
};

const run = verbs[verb];
if (!run) throw failure("wrong-verb", verb);
try {
  await run();
  process.stdout.write("done\n");
} catch (error) {
  process.stdout.write(`${(error as { code?: string }).code ?? error}\n`);
}
