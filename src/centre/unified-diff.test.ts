import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { unifiedDiff } from "./unified-diff.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-diff-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const run = (command: string, ...words: string[]) => {
  const { status, stdout, stderr, error } = spawnSync(command, words, {
    encoding: "utf8",
    env: { ...process.env, LC_ALL: "C" },
  });
  assert.equal(error, undefined);
  return { status, stdout, stderr };
};

/** What patch(1) makes of `before`. */
function patched(before: string, patch: string): string {
  const file = join(folder, "file");
  writeFileSync(file, before);
  if (patch === "") return before;
  writeFileSync(join(folder, "patch"), `--- file\n+++ file\n${patch}`);
  const { status, stdout, stderr } = run("patch", "--quiet", "--fuzz=0", file, join(folder, "patch"));
  assert.equal(status, 0, `${stdout}${stderr}${patch}`);
  // An emptied file is removed unless the name of the other side says otherwise.
  return readFileSync(file, { encoding: "utf8", flag: "a+" });
}

function oracle(before: string, after: string): string {
  writeFileSync(join(folder, "a"), before);
  writeFileSync(join(folder, "b"), after);
  const { stdout } = run("diff", "--minimal", "-u", join(folder, "a"), join(folder, "b"));
  return stdout.split("\n").slice(2).join("\n");
}

const changes = (patch: string) => patch.split("\n").filter((line) => /^[-+]/.test(line)).length;

const fewLines = fc.array(fc.constantFrom("a", "b", "c", "", " x"), { maxLength: 14 });
const text = fc.tuple(fewLines, fc.boolean()).map(([lines, isEnded]) => lines.join("\n") + (isEnded ? "\n" : ""));

test("patch(1) makes the new text of the old one, with as few lines as diff --minimal", () => {
  fc.assert(
    fc.property(text, text, (before, after) => {
      const patch = unifiedDiff(before, after);
      assert.equal(patch === "", before === after);
      assert.equal(patched(before, patch), after);
      assert.equal(changes(patch), changes(oracle(before, after)));
    }),
    { numRuns: 150 },
  );
});

test("what people write comes out as diff -u has it", () => {
  const before = `# sshd\n${Array.from({ length: 30 }, (_, i) => `Option${i} yes\n`).join("")}`;
  const cases = [
    [before, before.replace("Option3 yes", "Option3 no")],
    [before, before.replace("Option3 yes\n", "").replace("Option25 yes", "Option25 no\nMore yes")],
    [before, before.replace("Option3 yes", "Option3 no").replace("Option10 yes", "Option10 no")],
    [before, before.replace("Option3 yes", "Option3 no").replace("Option11 yes", "Option11 no")],
    [before, `${before}Last yes`],
    [`${before}Last yes`, before],
    ["", before],
    [before, ""],
    ["a\n", "b\n"],
    ["a", "a\n"],
    ["a\n{\n", "{\na\n{\n{\n"],
    ["{\n  one\n}\n", "{\n  one\n}\n{\n  one\n}\n"],
  ] as const;
  for (const [old, now] of cases) assert.equal(unifiedDiff(old, now), oracle(old, now));
});

test("the same texts give the same patch, and none when they are the same", () => {
  assert.equal(unifiedDiff("a\nb\n", "a\nb\n"), "");
  assert.equal(unifiedDiff("", ""), "");
  assert.equal(unifiedDiff("a\r\n", "a\n"), "@@ -1 +1 @@\n-a\r\n+a\n");
});

test("large texts that share next to nothing take no long time, and are still right", () => {
  const numbers = Array.from({ length: 12_000 }, (_, i) => i);
  const before = numbers.map((i) => `${i}\n`).join("");
  const after = numbers
    .map((i) => (i * 7919) % 12_000)
    .map((i) => `${i}\n`)
    .join("");
  const started = performance.now();
  const patch = unifiedDiff(before, after);
  assert.ok(performance.now() - started < 10_000);
  assert.equal(patched(before, patch), after);
});
