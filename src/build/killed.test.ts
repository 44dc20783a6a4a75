import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openStore } from "../store/store.ts";
import { diskDigest } from "../test-support/disk-bytes.ts";
import { buildImage, type ImageResult, startMeso } from "../test-support/meso-process.ts";
import { workplace } from "../test-support/seeded-store.ts";

const place = await workplace();
after(() => place.remove());
const program = place.program("mini-1.ts");
const imported = new Set(place.archives.map(({ sha256 }) => sha256));

const reference = await buildImage(program, join(place.folder, "reference.img"), { store: place.coldStore("whole") });
const disk = await diskDigest(join(place.folder, "reference.img"));

test("killed at any moment, a build leaves nothing that is half done, and the next one completes", async () => {
  const directory = place.coldStore("killed");
  const outputs = join(place.folder, "killed-outputs");
  mkdirSync(outputs);
  const output = join(outputs, "disk.img");
  const lastStages: (string | undefined)[] = [];
  const verified = new Set<string>();

  /** Waits for a line about a stage first, which no load on the machine moves to another stage. */
  async function kill(stage: string | undefined, delay: number, wholeGroup: boolean): Promise<void> {
    const { child, ended, says } = startMeso(["system", "image", "--json", "-o", output, program], {
      store: directory,
    });
    if (stage !== undefined) await says(`${stage} `);
    await Promise.race([sleep(delay * 1000), ended]);
    if (child.exitCode === null) process.kill(wholeGroup ? -child.pid! : child.pid!, "SIGKILL");
    const { signal, stderr } = await ended;
    if (signal === "SIGKILL") lastStages.push(/^(lay out|\w+)(?!.*^\w)/ms.exec(stderr)?.[1]);
    const moment = `${delay} s after ${stage ?? "its start"}`;
    if (existsSync(output)) {
      assert.equal(await diskDigest(output), disk, `the image of a build killed ${moment}`);
      rmSync(output);
    }
    // Not opened anew: that would sweep what the next run has to find.
    for (const id of readdirSync(join(directory, "segments"))) {
      if (!verified.has(id)) assert.ok(await inspector.verifySegment(id), `segment ${id}, killed ${moment}`);
      verified.add(id);
    }
  }

  const inspector = openStore(directory);
  const { stages } = reference;
  for (const part of [0.3, 0.8]) await kill(undefined, part * stages.index!, true);
  await kill("index", 0, true);
  // The store fills from kill to kill, so that all of them together cost little more than one build.
  for (const part of [0.1, 0.15, 0.2, 0.25, 0.3, 0.35]) await kill(undefined, part * stages.import!, true);
  await buildImage(program, output, { store: directory });
  rmSync(output);
  const late: [stage: string | undefined, delay: number][] = [
    [undefined, 0.3],
    [undefined, 1],
    ...[0, 0.4, 0.8, 1.2].map((part): [string, number] => ["compose", part * stages["lay out"]!]),
    ...[0, 0.2, 0.4, 0.6, 0.8].map((part): [string, number] => ["lay out", part * stages.write!]),
    ["write", 0],
  ];
  for (const [i, [stage, delay]] of late.entries()) {
    forgetComputed(directory, verified);
    await kill(stage, delay, i % 2 === 0);
  }
  assert.ok(lastStages.length >= 10, `only ${lastStages.length} of 21 builds were killed before their end`);
  for (const stage of [undefined, "compose", "lay out"]) {
    assert.ok(lastStages.includes(stage), `no kill after ${stage ?? "nothing"}, but after ${lastStages.join(", ")}`);
  }

  assertSame(await buildImage(program, output, { store: directory }));
  assert.equal(await diskDigest(output), disk);
  assert.deepEqual(readdirSync(outputs), ["disk.img"]);
  assertNoRubbish(directory);
});

test("Ctrl-C ends a build at once, with exit code 130, and leaves nothing behind", async () => {
  const directory = place.coldStore("interrupted");
  const outputs = join(place.folder, "interrupted-outputs");
  mkdirSync(outputs);
  const output = join(outputs, "disk.img");
  for (const [stage, delay] of [
    ["index ", 0.2],
    ["import ", 0.2],
    ["compose ", 0],
    ["compose ", 0.1],
    ["lay out ", 0],
  ] as const) {
    const { child, ended, says } = startMeso(["system", "image", "-o", output, program], { store: directory });
    await says(stage);
    await sleep(delay * 1000);
    // A terminal tells all processes in the foreground, the decompressors and sandboxes too.
    process.kill(-child.pid!, "SIGINT");
    const { code, stderr } = await ended;
    assert.equal(code, 130, stderr);
    assert.ok(!stderr.includes("    at "), stderr);
    if (existsSync(output)) {
      assert.equal(await diskDigest(output), disk);
      rmSync(output);
    }
    assert.deepEqual(readdirSync(outputs), [], `after ${stage}`);
    await sleep(100);
    assert.deepEqual(processesOf(child.pid!, directory), [], `after ${stage}`);
    assertNoRubbish(directory);
  }
  assertSame(await buildImage(program, output, { store: directory }));
});

function assertSame({ systemHash, imageHash }: ImageResult): void {
  assert.equal(systemHash, reference.systemHash);
  assert.equal(imageHash, reference.imageHash);
}

/** Leaves what archives and indices alone gave; everything later is to be made again. */
function forgetComputed(directory: string, verified: Set<string>): void {
  for (const name of readdirSync(join(directory, "cache"))) {
    if (name !== "package-indices") rmSync(join(directory, "cache", name), { recursive: true });
  }
  for (const id of readdirSync(join(directory, "segments"))) {
    if (imported.has(id)) continue;
    rmSync(join(directory, "segments", id), { recursive: true });
    verified.delete(id);
  }
}

/** The store holds nothing that was begun and not finished. */
function assertNoRubbish(directory: string): void {
  const unfinished = readdirSync(directory, { recursive: true, encoding: "utf8" }).filter(
    (path) =>
      /^(tmp|locks|partial)\/./.test(path) ||
      /^cache\/tools\/\.[^/]*$/.test(path) ||
      (/^(archives|indices|segments|cache\/(package-indices|recipes|tools))\/[^/]+$/.test(path) &&
        !/\/[0-9a-f]{32,64}(\.\d|\.deb|\.txt)?$/.test(path)),
  );
  assert.deepEqual(unfinished, []);
}

/** Command lines of processes in this group, and of those whose arguments name the store. */
function processesOf(group: number, directory: string): string[] {
  return readdirSync("/proc").flatMap((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return [];
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
      const [state, , processGroup] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      return state !== "Z" && (Number(processGroup) === group || command.includes(directory)) ? [command] : [];
    } catch {
      return [];
    }
  });
}
