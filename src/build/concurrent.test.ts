import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
  const counted = countingTools("xz", "bwrap");
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
  assert.ok(inTurn.bytes.xz! > 50_000_000, `${inTurn.bytes.xz} bytes were decompressed`);
  assert.equal(together.bytes.xz, inTurn.bytes.xz, "bytes that were decompressed");
  assert.equal(together.calls.bwrap, inTurn.calls.bwrap, "tools that were run in sandboxes");
});

/** Stands in for programs in PATH: notes each call with the length of its standard input, then becomes the real one. */
function countingTools(...names: readonly string[]) {
  const folder = join(place.folder, "tools");
  mkdirSync(folder);
  const logOf = (name: string) => join(folder, `${name}.log`);
  for (const name of names) {
    const real = execFileSync("/bin/sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim();
    const script = `#!/bin/sh\nstat --dereference --format=%s /proc/self/fd/0 >> '${logOf(name)}'\nexec ${real} "$@"\n`;
    writeFileSync(join(folder, name), script);
    chmodSync(join(folder, name), 0o755);
  }
  /** What was noted since the last time. */
  const runs = () => {
    const calls: Record<string, number> = {};
    const bytes: Record<string, number> = {};
    for (const name of names) {
      const lines = existsSync(logOf(name)) ? readFileSync(logOf(name), "utf8").trim().split("\n") : [];
      calls[name] = lines.length;
      bytes[name] = lines.reduce((sum, line) => sum + Number(line), 0);
      rmSync(logOf(name), { force: true });
    }
    return { calls, bytes };
  };
  return { env: { PATH: `${folder}:${process.env.PATH}` }, runs };
}
