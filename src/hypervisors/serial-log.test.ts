import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { boundLog, followLog, logEnd } from "./serial-log.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-log-"));
after(() => rmSync(folder, { recursive: true }));

test("a log that has grown too long is cut; its end is kept aside", () => {
  const path = join(folder, "long");
  writeFileSync(path, `${"x".repeat(900)}the end`);
  boundLog(path, 1000);
  assert.equal(statSync(path).size, 907);
  boundLog(path, 100);
  assert.equal(statSync(path).size, 0);
  assert.equal(readFileSync(`${path}.old`, "utf8"), `${"x".repeat(93)}the end`);
  boundLog(join(folder, "none"), 100);
});

test("the end of a log, shorter than asked for, or of none", () => {
  const path = join(folder, "short");
  writeFileSync(path, "abc");
  assert.equal(String(logEnd(path, 2)), "bc");
  assert.equal(String(logEnd(path, 10)), "abc");
  assert.equal(logEnd(join(folder, "none"), 10).length, 0);
});

test("followed from now on, through a cut, until the end", { timeout: 10_000 }, async () => {
  const path = join(folder, "followed");
  writeFileSync(path, "before");
  let ended = false;
  const lines = followLog(path, () => ended);
  let heard = "";
  const listening = (async () => {
    for await (const piece of lines) heard += Buffer.from(piece).toString();
  })();
  appendFileSync(path, " one");
  await until(() => heard === " one");
  boundLog(path, 5);
  await sleep(300);
  appendFileSync(path, "two");
  await until(() => heard === " onetwo");
  appendFileSync(path, "three");
  ended = true;
  await listening;
  assert.equal(heard, " onetwothree");
});

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(10);
}
