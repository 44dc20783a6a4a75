import { assert } from "../../base/error.ts";
import { sha256 } from "../../base/hash.ts";
import { ownerTag } from "../../store/owner.ts";
import type { CephContext } from "./context.ts";
import { ownPrefix } from "./settings.ts";

const journalObject = `${ownPrefix}journal`;
/** Lines that are kept. */
const mostLines = 1000;

/** Oldest first. */
export async function journalLines({ settings, rbd }: CephContext): Promise<readonly string[]> {
  const entries = await (await rbd()).entries(settings.pool, journalObject);
  return [...entries.values()].slice(-mostLines).map((line) => line.toString());
}

/** One entry of an object for each line, under a key that sorts by time: others may append at the same moment. */
export async function appendJournal(context: CephContext, line: string): Promise<void> {
  assert(!/[\r\n]/.test(line), "a journal entry is one line");
  const rbd = await context.rbd();
  const moment = nextMoment();
  await rbd.setEntry(context.settings.pool, journalObject, `${moment}-${sha256(ownerTag()).slice(0, 8)}`, line);
  // Whoever appends, now and then, takes the old lines away, so that nobody has to count.
  if (moment % trimEvery === 0n) await trimJournal(context);
}

const trimEvery = 64n;

export async function trimJournal({ settings, rbd }: CephContext): Promise<void> {
  const driver = await rbd();
  const keys = [...(await driver.entries(settings.pool, journalObject)).keys()];
  const old = keys.slice(0, Math.max(0, keys.length - mostLines));
  if (old.length > 0) await driver.removeEntries(settings.pool, journalObject, old);
}

let lastMoment = 0n;

/** Microseconds since 1970, never the same or an earlier one twice. Sixteen digits until the year 2286. */
function nextMoment(): bigint {
  const now = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000));
  lastMoment = now > lastMoment ? now : lastMoment + 1n;
  return lastMoment;
}
