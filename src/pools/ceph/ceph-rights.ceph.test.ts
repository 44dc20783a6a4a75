import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { MesoError } from "../../base/error.ts";
import { type CephCluster, startCephCluster } from "../../test-support/ceph-cluster.ts";
import type { Pool } from "../pool.ts";
import { plainAbout, type SampleCentre, sampleCentre } from "../pool-sample.testing.ts";
import { openCephPool } from "./ceph-pool.ts";

const [images, machines] = ["images", "machines"];

/** As docs/pools.md says that they are to be made. */
const users = {
  publisher: { mon: "profile rbd", osd: `profile rbd pool=${images}` },
  promoter: { mon: "profile rbd", osd: `profile rbd pool=${images}, profile rbd pool=${machines}` },
  hypervisor: { mon: "profile rbd", osd: `profile rbd pool=${machines}, profile rbd-read-only pool=${images}` },
  reader: {
    mon: "profile rbd-read-only",
    osd: `profile rbd-read-only pool=${images}, profile rbd-read-only pool=${machines}`,
  },
};

describe("the least rights that each user of Ceph needs", () => {
  let cluster: CephCluster;
  let centre: SampleCentre;
  before(async () => {
    centre = sampleCentre();
    cluster = await startCephCluster({ pools: [images, machines], users, watchSeconds: 5 });
  });
  after(async () => {
    centre?.remove();
    await cluster?.stop();
  });
  const as = (user: keyof typeof users, machinePool = machines): Pool =>
    openCephPool({ pool: images, machinePool, user, configuration: cluster.configuration });
  const web = () => centre.publication("web", 1);
  const volume = plainAbout("volume");

  it("publisher: publishes, keeps lease, journal and documents, and touches no machine", async () => {
    const publisher = as("publisher", images);
    assert.deepEqual(await publisher.check(), []);
    await publisher.publish([web()], centre.sources);
    await publisher.publish([centre.publication("web", 2)], centre.sources);
    await publisher.remove(centre.publication("web", 2).name);
    await publisher.describe(web().name, web().about);
    await publisher.takeLease({ holder: "publisher", purpose: "test", since: 1, expires: Date.now() });
    await publisher.releaseLease("publisher");
    await publisher.appendJournal("{}");
    await publisher.putDocument("d", Buffer.from("x"));
    await publisher.sweep();
    const both = as("publisher");
    await forbidden(both.createVolume("state", 1 << 20, volume));
    await forbidden(both.list());
    assert.ok((await both.check()).some(({ code }) => code === "pool-forbidden"));
    for (const args of [
      ["osd", "pool", "create", "more"],
      ["auth", "ls"],
      ["config", "set", "osd", "debug_osd", "1"],
    ]) {
      await assert.rejects(cluster.run("ceph", args, "publisher"), args.join(" "));
    }
  });

  it("promoter: clones what was published into the machines' pool, and keeps their volumes", async () => {
    const promoter = as("promoter");
    assert.deepEqual(await promoter.check(), []);
    await promoter.clone({ image: web().name }, "VMroot_web_candidate", plainAbout("candidate"));
    await promoter.rename("VMroot_web_candidate", "vm-101-root-1");
    await promoter.createVolume("vm-101-state", 1 << 20, volume);
    await promoter.snapshot("vm-101-state", "before");
    await promoter.restoreSnapshot("vm-101-state", "before");
    await promoter.createVolume("gone", 1 << 20, volume);
    await promoter.remove("gone");
    assert.deepEqual(
      (await promoter.list()).map(({ name, parent }) => [name, parent]),
      [
        [web().name, undefined],
        ["vm-101-root-1", web().name],
        ["vm-101-state", undefined],
      ],
    );
    // What stands in the other pool counts.
    await assert.rejects(promoter.remove(web().name), { code: "image-has-children" });
  });

  it("hypervisor: reads and writes machines' disks through what was published, and publishes nothing", async () => {
    const run = (args: readonly string[]) => cluster.run("rbd", args, "hypervisor");
    for (const type of ["read", "write"]) {
      const size = ["--io-size", "4096", "--io-total", "65536", "--io-pattern", "rand"];
      await run(["bench", "--io-type", type, ...size, `${machines}/vm-101-root-1`]);
    }
    await run(["snap", "create", "--no-progress", `${machines}/vm-101-state@by-hypervisor`]);
    await run(["snap", "rm", "--no-progress", `${machines}/vm-101-state@by-hypervisor`]);
    await run([
      "clone",
      "--rbd-default-clone-format",
      "2",
      `${images}/${web().name}@mesoforge-published`,
      `${machines}/own`,
    ]);
    await run(["flatten", "--no-progress", `${machines}/own`]);
    await run(["rm", "--no-progress", `${machines}/own`]);
    await assert.rejects(run(["rm", "--no-progress", `${images}/${web().name}`]));
    await assert.rejects(run(["image-meta", "set", `${images}/${web().name}`, "a", "b"]));
    const hypervisor = as("hypervisor");
    await forbidden(hypervisor.publish([centre.publication("dns", 1)], centre.sources));
    await forbidden(hypervisor.putDocument("e", Buffer.from("x")));
  });

  it("reader: sees everything, changes nothing", async () => {
    const reader = as("reader");
    assert.equal((await reader.list()).length, 3);
    assert.equal((await reader.usage()).size, 4);
    assert.deepEqual(await reader.openers("vm-101-state"), []);
    assert.deepEqual(await reader.snapshots("vm-101-state"), ["before"]);
    assert.deepEqual(await reader.journal(), ["{}"]);
    assert.equal(Buffer.from((await reader.document("d"))!).toString(), "x");
    assert.equal(await reader.lease(), undefined);
    assert.ok((await reader.check()).every(({ code }) => code === "pool-forbidden"));
    const changes: Record<string, () => Promise<unknown>> = {
      publish: () => reader.publish([centre.publication("dns", 1)], centre.sources),
      clone: () => reader.clone({ image: web().name }, "x", plainAbout("trial")),
      rename: () => reader.rename("vm-101-state", "x"),
      describe: () => reader.describe("vm-101-state", volume),
      remove: () => reader.remove("vm-101-state"),
      createVolume: () => reader.createVolume("x", 1 << 20, volume),
      snapshot: () => reader.snapshot("vm-101-state", "x"),
      restoreSnapshot: () => reader.restoreSnapshot("vm-101-state", "before"),
      takeLease: () => reader.takeLease({ holder: "x", purpose: "x", since: 1, expires: Date.now() }),
      appendJournal: () => reader.appendJournal("{}"),
      putDocument: () => reader.putDocument("e", Buffer.from("x")),
    };
    for (const [verb, call] of Object.entries(changes)) await forbidden(call(), verb);
    assert.deepEqual(
      (await reader.list()).map(({ name }) => name),
      [web().name, "vm-101-root-1", "vm-101-state"],
    );
  });
});

async function forbidden(call: Promise<unknown>, what = ""): Promise<void> {
  const outcome = await call.then(
    (value) => `done: ${JSON.stringify(value)}`,
    (error: unknown) => error,
  );
  assert.ok(outcome instanceof MesoError, `${what}: ${outcome}`);
  assert.equal(outcome.code, "pool-forbidden", `${what}: ${outcome.message}`);
  assert.doesNotMatch(outcome.message, /AQ[A-Za-z0-9+/]{20}/);
}
