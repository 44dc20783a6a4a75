import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openSystem } from "../build/open-system.ts";
import { centre, directoryPool as directoryPoolRecord, inherit, machine, qemu } from "../index.ts";
import { directoryPool } from "../pools/directory/directory-pool.ts";
import type { Pool } from "../pools/pool.ts";
import { projectFolder } from "../test-support/meso-process.ts";
import { testSession } from "../test-support/test-session.ts";
import { publishedName } from "./image-names.ts";
import { prepareCentre } from "./prepare-centre.ts";
import { publishImages } from "./publish-images.ts";
import { descriptionName } from "./system-description.ts";
import { decodeDescription } from "./system-description-file.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-publish-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const session = testSession();
const os = await openSystem(join(projectFolder, "examples", "mini-1.ts"));
/** Two of one system, and one of another. */
const twins = centre({
  name: "twins",
  pool: directoryPoolRecord({ path: join(folder, "pool") }),
  hypervisor: qemu({ directory: join(folder, "machines") }),
  machines: {
    one: machine({ os }),
    two: machine({ os }),
    other: machine({ os: inherit(os, { hostName: "other" }) }),
  },
});
const prepared = await prepareCentre(session, { file: join(folder, "twins.ts"), folder, centre: twins });
const stamp = "202611260900";
const requests = prepared.desired.machines.map((one) => ({ machine: one, image: publishedName(one, stamp), stamp }));

test("each image says what it is; the system that two share is described once, and before its images are seen", async () => {
  const events: string[] = [];
  const pool = watched(directoryPool(join(folder, "first")), events);
  await publishImages({ session, centre: prepared, pool, now: () => 1_000.9 }, requests);
  const images = new Map((await pool.list()).map((image) => [image.name, image]));
  assert.deepEqual([...images.keys()].sort(), requests.map(({ image }) => image).sort());
  for (const { machine: one, image } of requests) {
    const about = images.get(image)?.about;
    assert.equal(about?.machine, one.path);
    assert.equal(about?.role, "published");
    assert.equal(about?.stamp, stamp);
    assert.equal(about?.system?.systemHash, one.systemHash);
    assert.equal(about?.system?.publishedAt, 1_000);
    assert.match(about?.system?.lockHash ?? "", /^[0-9a-f]{64}$/);
    const name = descriptionName(one.systemHash);
    const description = decodeDescription((await pool.document(name))!, name);
    assert.equal(description.hostName, one.path === "other" ? "other" : os.hostName);
    assert.ok(events.indexOf(name) < events.indexOf(image), `${name} comes before ${image}`);
  }
  const hashes = requests.map(({ image }) => images.get(image)?.about?.system?.imageHash);
  assert.equal(new Set(hashes).size, 2);
  assert.equal(events.filter((event) => event.startsWith("system-")).length, 2);
});

test("what cannot be described is not published", async () => {
  const events: string[] = [];
  const pool = {
    ...watched(directoryPool(join(folder, "second")), events),
    putDocument: () => Promise.reject(new Error("the pool is full")),
  };
  await assert.rejects(publishImages({ session, centre: prepared, pool, now: () => 1 }, requests), /the pool is full/);
  assert.deepEqual(await pool.list(), []);
});

function watched(pool: Pool, events: string[]): Pool {
  return {
    ...pool,
    putDocument: async (name, bytes) => {
      await pool.putDocument(name, bytes);
      events.push(name);
    },
    publish: async (publications, sources) => {
      const report = await pool.publish(publications, sources);
      events.push(...publications.map(({ name }) => name));
      return report;
    },
  };
}
