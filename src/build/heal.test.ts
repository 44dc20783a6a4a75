import assert from "node:assert/strict";
import {
  closeSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";
import { openStore } from "../store/store.ts";
import { diskDigest } from "../test-support/disk-bytes.ts";
import { buildImage, deadMirror, runMeso } from "../test-support/meso-process.ts";
import { workplace } from "../test-support/seeded-store.ts";

const place = await workplace();
after(() => place.remove());
const program = place.program("mini-1.ts");
const directory = place.coldStore("store");
const store = openStore(directory);
const output = join(place.folder, "disk.img");
const mirror = mirrorOfArchives();

const reference = await buildImage(program, output, { store: directory });
const disk = await diskDigest(output);
/** Small ones of the root file system that nothing else is computed from, and the one with the largest data. */
const [tabled, shortened, spoiled, ...others] = place.archives
  .filter(({ name }) => ["netbase", "ncurses-base", "hostname", "less", "mawk", "grep", "sed", "gzip"].includes(name))
  .map(({ sha256 }) => sha256);

test("damaged segments are found and imported again", async () => {
  assert.ok(tabled && shortened && spoiled && others.length > 0);
  writeFileSync(join(directory, "segments", tabled, "table.json"), '{"version":');
  truncateSync(store.segmentDataPath(shortened), statSync(store.segmentDataPath(shortened)).size - 4096);
  await expectSameImage({});
  for (const id of [tabled, shortened]) assert.ok(await store.verifySegment(id), id);
});

test("damaged archives are fetched again when they are needed; without a mirror one error says why", async () => {
  for (const id of [spoiled!, shortened!]) {
    flipByte(store.archivePath(id));
    store.removeSegment(id);
  }
  rmSync(output, { force: true });
  const args = ["system", "image", "--json", "-o", output, program];
  const { code, stdout } = await runMeso(args, { store: directory });
  assert.equal(code, 1);
  const { problems } = JSON.parse(stdout) as { problems: { code: string; what: string }[] };
  assert.deepEqual([...new Set(problems.map((problem) => problem.code))], ["mirror-unreachable"]);
  assert.ok(problems[0]!.what.includes(new URL(deadMirror).host), problems[0]!.what);
  await expectSameImage({ MESO_DEBIAN_MIRROR: mirror, MESO_DEBIAN_SECURITY_MIRROR: mirror });
  for (const id of [spoiled!, shortened!]) assert.ok(await store.verifySegment(id), id);
});

test("what was computed is computed again when it is damaged", async () => {
  const recipes = join(directory, "cache/recipes");
  for (const name of readdirSync(recipes)) flipByte(join(recipes, name));
  const archives = new Set(place.archives.map(({ sha256 }) => sha256));
  for (const id of readdirSync(join(directory, "segments"))) {
    if (!archives.has(id)) truncateSync(store.segmentDataPath(id), 1);
  }
  for (const tool of readdirSync(join(directory, "cache/tools"))) {
    const folder = join(directory, "cache/tools", tool);
    for (const file of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
      if (statSync(join(folder, file)).isFile()) truncateSync(join(folder, file), 0);
    }
  }
  for (const name of readdirSync(join(directory, "cache/package-indices"))) {
    truncateSync(join(directory, "cache/package-indices", name), 1000);
  }
  for (const name of readdirSync(join(directory, "indices"))) {
    if (name.endsWith(".txt")) flipByte(join(directory, "indices", name));
  }
  for (const folder of readdirSync(join(directory, "cache"))) {
    if (!/^[0-9a-f]{2}$/.test(folder)) continue;
    for (const name of readdirSync(join(directory, "cache", folder))) {
      truncateSync(join(directory, "cache", folder, name), 20);
    }
  }
  await expectSameImage({});
});

async function expectSameImage(env: Readonly<Record<string, string>>): Promise<void> {
  rmSync(output, { force: true });
  const { imageHash } = await buildImage(program, output, { store: directory, env });
  assert.equal(imageHash, reference.imageHash);
  assert.equal(await diskDigest(output), disk);
}

/** Changes the byte in the middle; in a copy, as the archives of the tests' own store are linked. */
function flipByte(path: string): void {
  copyFileSync(path, `${path}.copy`);
  renameSync(`${path}.copy`, path);
  const file = openSync(path, "r+");
  try {
    const byte = Buffer.alloc(1);
    const middle = statSync(path).size >> 1;
    readSync(file, byte, 0, 1, middle);
    byte[0]! ^= 0xff;
    writeSync(file, byte, 0, 1, middle);
  } finally {
    closeSync(file);
  }
}

/** A folder laid out as a mirror's, with the archives; those of the security archive beside the others. */
function mirrorOfArchives(): string {
  const folder = join(place.folder, "mirror");
  for (const { filename, sha256 } of place.archives) {
    mkdirSync(dirname(join(folder, filename)), { recursive: true });
    linkSync(store.archivePath(sha256), join(folder, filename));
  }
  return pathToFileURL(folder).href;
}
