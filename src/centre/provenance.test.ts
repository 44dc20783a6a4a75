import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { provenance } from "./provenance.ts";

const home = mkdtempSync(join(tmpdir(), "meso-provenance-"));
after(() => rmSync(home, { recursive: true, force: true }));

const lock = Buffer.from("a lock\n");

test("outside of a checkout there is no commit, and the lock's hash all the same", async () => {
  const { commit, isClean, lockHash, builder } = await provenance(home, lock);
  assert.deepEqual([commit, isClean], [undefined, undefined]);
  // sha256sum(1) of the same bytes.
  const oracle = execFileSync("sha256sum", { input: lock, encoding: "utf8" }).split(" ")[0];
  assert.equal(lockHash, oracle);
  assert.match(builder, /^[^@]+@[^,]+, mesoforge \d+\.\d+\.\d+$/);
});

test("a checkout without a commit has none; one with is clean until something in it changes", async () => {
  const checkout = join(home, "checkout");
  const folder = join(checkout, "site");
  mkdirSync(folder, { recursive: true });
  git(checkout, "init", "-q");
  assert.equal((await provenance(folder, lock)).commit, undefined);
  writeFileSync(join(folder, "centre.ts"), "export default 1;\n");
  git(checkout, "add", ".");
  git(checkout, "commit", "-qm", "first");
  const clean = await provenance(folder, lock);
  assert.deepEqual([clean.commit, clean.isClean], [git(checkout, "rev-parse", "HEAD"), true]);
  // Not even in the program's own folder: what it imports may lie anywhere in the checkout.
  writeFileSync(join(checkout, "notes.txt"), "not committed\n");
  const changed = await provenance(folder, lock);
  assert.deepEqual([changed.commit, changed.isClean], [clean.commit, false]);
});

function git(folder: string, ...words: string[]): string {
  const who = { GIT_AUTHOR_NAME: "A", GIT_AUTHOR_EMAIL: "a@b", GIT_COMMITTER_NAME: "A", GIT_COMMITTER_EMAIL: "a@b" };
  const env = { ...process.env, ...who };
  return execFileSync("git", ["-C", folder, ...words], { encoding: "utf8", env }).trim();
}
