import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { openStore } from "../store/store.ts";
import { diskDigest } from "../test-support/disk-bytes.ts";
import { buildImage } from "../test-support/meso-process.ts";
import { workplace } from "../test-support/seeded-store.ts";

const otherName = `
import { inherit } from "mesoforge";
import mini from "./mini-1.ts";
export default inherit(mini, { hostName: "other" });
`;
const onePackageMore = `
import { basePackages, inherit } from "mesoforge";
import mini from "./mini-1.ts";
export default inherit(mini, { hostName: "more", packages: [...basePackages, "lsof"] });
`;

const place = await workplace({ "other.ts": otherName, "more.ts": onePackageMore });
after(() => place.remove());
const programs = ["mini-1.ts", "mini-1.ts", "mini-1.ts", "other.ts", "more.ts"];

test("builds of the same and of other machines at once, upon a cold store, share the work", async () => {
  const store = place.coldStore("shared");
  const counted = countingPrograms();
  const images = await Promise.all(
    programs.map(async (program, i) => {
      const output = join(place.folder, `${i}.img`);
      const { imageHash } = await buildImage(place.program(program), output, { store, env: counted.env });
      const disk = await diskDigest(output);
      rmSync(output);
      return { imageHash, disk };
    }),
  );
  const together = counted.runs();
  assert.deepEqual(images[1], images[0]);
  assert.deepEqual(images[2], images[0]);

  const inspector = openStore(store);
  for (const folder of ["tmp", "locks"]) assert.deepEqual(readdirSync(join(store, folder)), [], folder);
  for (const id of readdirSync(join(store, "segments"))) assert.ok(await inspector.verifySegment(id), id);

  // One after the other on a store of their own: the same images, and in all the same work.
  const alone = place.coldStore("alone");
  for (const i of [0, 3, 4]) {
    const output = join(place.folder, "alone.img");
    const { imageHash } = await buildImage(place.program(programs[i]!), output, { store: alone, env: counted.env });
    assert.deepEqual({ imageHash, disk: await diskDigest(output) }, images[i], programs[i]);
  }
  const inTurn = counted.runs();
  assert.ok(inTurn.expandedBytes > 50_000_000, `${inTurn.expandedBytes} bytes were decompressed`);
  assert.equal(together.expandedBytes, inTurn.expandedBytes, "bytes that were decompressed");
  assert.deepEqual(together.tools, inTurn.tools, "tools that were run in sandboxes");
});

/**
 * Stands in for xz and bwrap in PATH: notes each call with the length of its standard input, then becomes the real one.
 * The channel's xz runs in a sandbox, and reads its standard input there.
 */
function countingPrograms() {
  const folder = join(place.folder, "tools");
  mkdirSync(folder);
  const log = join(folder, "log");
  for (const name of ["xz", "bwrap"]) {
    const real = execFileSync("/bin/sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim();
    const note = `echo "$(stat --dereference --format=%s /proc/self/fd/0) ${name} $*" >> '${log}'`;
    writeFileSync(join(folder, name), `#!/bin/sh\n${note}\nexec ${real} "$@"\n`);
    chmodSync(join(folder, name), 0o755);
  }
  /** What was noted since the last time. */
  const runs = () => {
    const lines = readFileSync(log, "utf8").trim().split("\n");
    rmSync(log);
    const isXz = (line: string) => /^\d+ xz | -- \/usr\/bin\/xz /.test(line);
    const expandedBytes = lines.filter(isXz).reduce((sum, line) => sum + Number(line.split(" ")[0]), 0);
    const tools = lines.flatMap((line) => (isXz(line) ? [] : [/ -- (\S+)/.exec(line)?.[1]])).sort();
    return { expandedBytes, tools };
  };
  return { env: { PATH: `${folder}:${process.env.PATH}` }, runs };
}
