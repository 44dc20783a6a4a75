import assert from "node:assert/strict";
import { test } from "node:test";
import type { ImageAbout } from "../pools/about.ts";
import { rehearse } from "../simulation/rehearse.ts";
import { newMachine } from "../simulation/simulated-hypervisor.ts";
import { deployed, plainMachine, smallCentre, stateVolume, systemVersion } from "../simulation/small-centre.testing.ts";
import { imageIn, type SimulatedImage, simulatedVolume } from "../simulation/world.ts";
import { executeAdoption, planAdoption } from "./adopt.ts";
import type { DesiredVolume } from "./desired.ts";
import { executePrune } from "./execute-prune.ts";
import { generationsOf } from "./generations.ts";
import { measuredDurations, parseJournal } from "./journal.ts";
import { planPrune } from "./prune.ts";
import { planRollBack } from "./roll-back.ts";
import { statusOf } from "./status.ts";

test("roll-back leads to an older generation, with its state where that is asked for", async () => {
  const centre = await deployed({ web: { volumes: [{ ...stateVolume, onRollBack: "keep" }] } });
  for (const number of [2, 3]) {
    centre.change("web", { systemHash: systemVersion("web", number) });
    assert.equal((await centre.deploy()).result, "done");
  }
  const machine = centre.desired().machines[0]!;
  const generations = generationsOf(await centre.observe(), machine);
  assert.deepEqual(
    generations.map(({ number, system, isCurrent }) => [number, system?.systemHash, isCurrent]),
    [1, 2, 3].map((number) => [number, systemVersion("web", number), number === 3]),
  );
  const options = { paths: ["web"], now: centre.world.clock.now() };
  const back = planRollBack(centre.desired(), await centre.observe(), options);
  assert.deepEqual([back.kind, back.machines[0]!.to?.image], ["roll-back", generations[1]!.root]);
  assert.equal((await centre.execute(back)).result, "done");
  assert.equal(imageIn(centre.machine("web"), "scsi0"), generations[1]!.root);
  const toFirst = { ...options, to: "1", withState: true, now: centre.world.clock.now() };
  assert.equal((await centre.execute(planRollBack(centre.desired(), await centre.observe(), toFirst))).result, "done");
  const content = centre.world.images.get("web-state")!.content;
  assert.equal(content.includes(systemVersion("web", 3)), false);
  assert.equal(content.at(-1), systemVersion("web", 1));
  const now = await centre.observe();
  assert.throws(() => planRollBack(centre.desired(), now, { ...options, to: "9" }), /no generation 9/);
  const second = { ...options, to: "2", withState: true };
  assert.doesNotThrow(() => planRollBack(centre.desired(), now, second));
});

test("prune keeps what is in use, what a way back needs, parents, volumes, and so many generations", async () => {
  const centre = await deployed({ web: { volumes: [{ ...stateVolume, keepSnapshots: 1 }] } });
  for (const number of [2, 3, 4, 5]) {
    centre.change("web", { systemHash: systemVersion("web", number) });
    assert.equal((await centre.deploy()).result, "done");
  }
  centre.world.documents.set(`system-${systemVersion("web", 1)}.json.gz`, new Uint8Array());
  centre.world.documents.set(`system-${systemVersion("web", 5)}.json.gz`, new Uint8Array());
  const foreign: SimulatedImage = { size: 1, about: undefined, content: [], snapshots: new Map() };
  centre.world.images.set("somebody-elses", foreign);
  const documents = [...centre.world.documents.keys()];
  const plan = planPrune(centre.desired(), await centre.observe(), documents);
  const outcome = await centre.wait(executePrune(plan, centre.desired(), centre.hands()));
  assert.equal(outcome.result, "done", JSON.stringify(outcome));
  const left = [...centre.world.images].filter(([, { about }]) => about?.role === "root").map(([name]) => name);
  assert.equal(left.length, 3, "two generations beside the one in use");
  assert.ok(left.includes(imageIn(centre.machine("web"), "scsi0")!));
  for (const [, { parent }] of centre.world.images) if (parent) assert.ok(centre.world.images.has(parent.image));
  assert.ok(centre.world.images.has("somebody-elses") && centre.world.images.has("web-state"));
  assert.deepEqual([...centre.world.documents.keys()], [`system-${systemVersion("web", 5)}.json.gz`]);
  const again = planPrune(centre.desired(), await centre.observe(), [...centre.world.documents.keys()]);
  assert.deepEqual(again.removals, []);
});

test("adopt makes a machine's disks ours, and the next deployment has a way back to them", async () => {
  const data: DesiredVolume = { ...stateVolume, image: "vm-127-state" };
  const id = { name: "old", vmid: 127 };
  const centre = smallCentre({ old: { id, volumes: [data] } });
  const machine = newMachine({ ...plainMachine("old", { id }).spec, description: "" });
  const disk = (content: string): SimulatedImage => ({
    size: 2 ** 30,
    about: undefined,
    content: [content],
    snapshots: new Map(),
  });
  centre.world.images.set("vm-127-disk-0", disk("by hand"));
  centre.world.images.set("vm-127-disk-1", disk("data"));
  machine.slots.set("scsi0", { volume: simulatedVolume("vm-127-disk-0"), options: "ssd=1" });
  machine.slots.set("scsi1", { volume: simulatedVolume("vm-127-disk-1"), options: "serial=state" });
  Object.assign(machine, { power: "on", guest: "up" });
  centre.world.machines.set("127", machine);
  assert.equal((await centre.plan()).machines[0]!.action, "foreign");
  const now = centre.world.clock.now();
  const adoption = planAdoption(centre.desired(), await centre.observe(), { path: "old", now });
  assert.deepEqual(
    adoption.images.map(({ name, about }: { name: string; about: ImageAbout }) => [name, about.role, about.volume]),
    [
      ["vm-127-disk-1", "volume", "state"],
      ["vm-127-disk-0", "root", undefined],
    ],
  );
  await centre.wait(executeAdoption(adoption, centre.desired(), centre.hands()));
  centre.behave(centre.desired().machines[0]!.systemHash, { passesChecks: false });
  assert.equal((await centre.deploy()).result, "rolled-back");
  assert.equal(imageIn(machine, "scsi0"), "vm-127-disk-0");
  assert.deepEqual(machine.slots.get("scsi0")?.options, "ssd=1");
  assert.equal(centre.world.images.get("vm-127-disk-1")?.content[0], "data");
});

test("status tells drift, what is down, what is foreign and what is left over", async () => {
  const centre = await deployed({ fine: {}, drifted: {}, down: {}, alien: {} });
  centre.change("drifted", { systemHash: systemVersion("drifted", 2) });
  Object.assign(centre.machine("down"), { power: "off", guest: "down" });
  centre.machine("alien").slots.set("scsi0", { volume: "elsewhere:disk", options: "" });
  const pendingUpdates = new Map([["fine", 3]]);
  const now = centre.world.clock.now() + 60;
  const status = statusOf(centre.desired(), await centre.observe(), { now, pendingUpdates });
  assert.deepEqual(
    status.machines.map(({ path, standing }) => [path, standing]),
    [
      ["alien", "foreign"],
      ["down", "down"],
      ["drifted", "drifted"],
      ["fine", "as-declared"],
    ],
  );
  const fine = status.machines.at(-1)!;
  assert.ok(fine.ageSeconds! >= 60 && fine.pendingUpdates === 3 && !fine.isUnverified);
});

test("a rehearsal predicts the run, and changes nothing", async () => {
  const centre = await deployed({ a: { group: "dns" }, b: { group: "dns" }, c: {} });
  for (const path of ["a", "b"]) centre.change(path, { systemHash: systemVersion(path, 2) });
  const observation = await centre.observe();
  const plan = await centre.plan();
  const images = [...centre.world.images.keys()];
  const rehearsal = await rehearse(plan, observation, measuredDurations(parseJournal(centre.world.journal)));
  assert.deepEqual([...centre.world.images.keys()], images);
  assert.equal(rehearsal.outcome.result, "done", JSON.stringify(rehearsal.outcome));
  assert.deepEqual(Object.keys(rehearsal.outages).sort(), ["a", "b"]);
  const outcome = await centre.execute(plan);
  const ratio = rehearsal.seconds / outcome.seconds;
  assert.ok(ratio > 0.7 && ratio < 1.4, `${rehearsal.seconds} s foretold, ${outcome.seconds} s needed`);
  for (const { path, outageSeconds } of outcome.machines) {
    const foretold = rehearsal.outages[path]!;
    assert.ok(
      Math.abs(foretold / outageSeconds! - 1) < 0.3,
      `${path}: ${foretold} s foretold, ${outageSeconds} s away`,
    );
  }
  assert.deepEqual(
    rehearsal.steps.filter(({ path }) => path === "a").map(({ step }) => step),
    plan.machines[0]!.steps.filter(({ kind }) => kind !== "publish").map(({ kind }) => kind),
  );
});

test("94 machines are looked at and planned in a moment, and looking takes no lease", async () => {
  const paths = Array.from({ length: 94 }, (_, index) => `rack-${index % 8}/m${index}`);
  const machine = { volumes: [{ ...stateVolume, image: "" }], group: "all" };
  const given = paths.map((path) => [
    path,
    { ...machine, volumes: [{ ...stateVolume, image: `${path.replace("/", "-")}-state` }] },
  ]);
  const centre = await deployed(Object.fromEntries(given), { parallel: 64, groups: { all: 94 } });
  const leases: string[] = [];
  centre.world.watchers.push(({ verb }) => void leases.push(verb));
  const observation = await centre.observe();
  const began = performance.now();
  const plan = await centre.plan();
  const seconds = (performance.now() - began) / 1000;
  assert.ok(seconds < 1, `${seconds} s`);
  assert.equal(plan.machines.filter(({ action }) => action === "none").length, 94);
  statusOf(centre.desired(), observation, { now: centre.world.clock.now() });
  planPrune(centre.desired(), observation, []);
  await rehearse(plan, observation);
  assert.deepEqual(leases, []);
});
