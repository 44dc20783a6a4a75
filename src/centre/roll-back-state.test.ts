import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../base/hash.ts";
import { type Actor, actor, type Fault } from "../simulation/actor.ts";
import { simulatedHands, systemAbout } from "../simulation/simulated-hands.ts";
import { newMachine } from "../simulation/simulated-hypervisor.ts";
import { virtualClock } from "../simulation/virtual-clock.ts";
import { type Behaviour, emptyWorld, imageIn, simulatedVolume, type World, wellBehaved } from "../simulation/world.ts";
import type { DesiredCentre, DesiredMachine } from "./desired.ts";
import { executePlan } from "./execute.ts";
import { observe } from "./observe.ts";
import type { DeployOutcome } from "./outcome.ts";
import { type PlanOptions, planDeployment } from "./plan.ts";
import { printShape } from "./shape.ts";

// A way back with state brings volumes to older contents, whatever becomes of them when a new root fails: should the
// older root fail, or the executor be killed, the root from before must not be left with contents that are not its own.

const GiB = 2 ** 30;
const spec = {
  id: { name: "db" },
  architecture: "amd64",
  cores: 1,
  memoryMebibytes: 1024,
  firmware: "bios" as const,
  nics: [],
};
const database = (onRollBack: "keep" | "restore"): DesiredMachine => ({
  path: "db",
  id: spec.id,
  systemHash: sha256("new"),
  spec,
  shape: printShape(spec),
  rootSlot: "scsi0",
  diskSize: 32 * GiB,
  volumes: [{ name: "data", image: "db-data", size: GiB, onRollBack, keepSnapshots: 3 }],
  wave: 1,
  shutdownSeconds: 60,
  mayCutPower: true,
  bootSeconds: 60,
  drain: [],
  checks: [],
});

interface Scene {
  readonly world: World;
  readonly behaviours: Map<string, Behaviour>;
  /** Runs a plan as another process, to its end or its death. */
  readonly run: (
    options?: Partial<PlanOptions>,
    fault?: (call: number) => Fault | undefined,
  ) => Promise<DeployOutcome | undefined>;
  readonly root: () => string | undefined;
  readonly contents: () => readonly string[];
}

/** A machine that was deployed once, from the system `old` to `new`, which has written to its volume since. */
async function deployed(
  onRollBack: "keep" | "restore",
): Promise<Scene & { readonly older: string; readonly snapshot: string }> {
  const behaviours = new Map<string, Behaviour>();
  const start = Date.UTC(2026, 10, 25, 6) / 1000;
  const world = emptyWorld("sim", virtualClock(start), (system) => behaviours.get(system) ?? wellBehaved);
  const machine = database(onRollBack);
  const desired: DesiredCentre = {
    name: "sim",
    machines: [machine],
    keepGenerations: 3,
    limits: { parallel: 1, parallelPerNode: 1, groups: {} },
  };
  const about = { formatVersion: 1 as const, centre: "sim", machine: "db", stamp: "202611200000" };
  const verdict = { passed: true, at: start, by: "before", failed: [], checks: 1 };
  const older = "db-root-202611200000";
  const system = systemAbout(sha256("old"), "db", start);
  const root = { ...about, role: "root" as const, verdict, system, shape: machine.shape };
  world.images.set(older, { size: machine.diskSize, about: root, content: [sha256("old")], snapshots: new Map() });
  const volume = { ...about, role: "volume" as const, volume: "data" };
  world.images.set("db-data", { size: GiB, about: volume, content: ["first"], snapshots: new Map() });
  const simulated = newMachine({ ...spec, description: "" });
  simulated.slots.set("scsi0", { volume: simulatedVolume(older), options: "" });
  simulated.slots.set("scsi1", { volume: simulatedVolume("db-data"), options: "serial=data" });
  simulated.power = "on";
  simulated.guest = "up";
  world.machines.set("db", simulated);
  let count = 0;
  const run: Scene["run"] = async (options = {}, fault = () => undefined) => {
    const one: Actor = actor(world, `process ${count++}`, fault);
    const hands = simulatedHands(world, one);
    const work = async () => {
      const observation = await observe(hands.pool, hands.hypervisor, desired, { allSnapshots: true });
      return executePlan(planDeployment(desired, observation, { now: world.clock.now(), ...options }), hands);
    };
    const dead = (async () => {
      while (!one.isDead()) await world.clock.sleep(1);
    })();
    const ended = await world.clock.until(Promise.race([work(), dead]));
    one.kill();
    // The lease of a killed one ends.
    await world.clock.pass(200);
    return ended ?? undefined;
  };
  const first = await run();
  assert.equal(first?.result, "done");
  const data = world.images.get("db-data")!;
  world.images.set("db-data", { ...data, content: [...data.content, "work"] });
  const snapshot = [...world.images.get("db-data")!.snapshots.keys()].find((name) =>
    name.startsWith("left-202611200000"),
  )!;
  return {
    world,
    behaviours,
    run,
    root: () => imageIn(world.machines.get("db")!, "scsi0"),
    contents: () => world.images.get("db-data")!.content,
    older,
    snapshot,
  };
}

for (const onRollBack of ["keep", "restore"] as const) {
  test(`an older root that fails gives back root and state (${onRollBack})`, async () => {
    const scene = await deployed(onRollBack);
    const newer = scene.root();
    scene.behaviours.set(sha256("old"), { ...wellBehaved, passesChecks: false });
    const outcome = await scene.run({ targets: { db: { root: scene.older, restore: { "db-data": scene.snapshot } } } });
    assert.equal(outcome?.result, "rolled-back");
    assert.equal(scene.root(), newer);
    assert.deepEqual(scene.contents(), ["first", sha256("new"), "work", sha256("new")]);
  });

  test(`a way back that fails before the older root was started gives the state back too (${onRollBack})`, async () => {
    const scene = await deployed(onRollBack);
    const newer = scene.root();
    const { world } = scene;
    // Somebody else holds the older root open: it cannot be attached.
    const other = newMachine({ ...spec, id: { name: "other" }, description: "" });
    other.slots.set("scsi0", { volume: simulatedVolume(scene.older), options: "" });
    other.power = "on";
    world.machines.set("other", other);
    const outcome = await scene.run({ targets: { db: { root: scene.older, restore: { "db-data": scene.snapshot } } } });
    assert.equal(outcome?.result, "rolled-back");
    assert.equal(scene.root(), newer);
    assert.deepEqual(scene.contents(), ["first", sha256("new"), "work", sha256("new")]);
  });

  test(`killed at any call, a root is never left with contents that are not its own (${onRollBack})`, async () => {
    for (let call = 0; ; call++) {
      const scene = await deployed(onRollBack);
      const newer = scene.root();
      const targets = { db: { root: scene.older, restore: { "db-data": scene.snapshot } } };
      const outcome = await scene.run({ targets }, (number) =>
        number === call ? (call % 2 === 0 ? "die-before" : "die-after") : undefined,
      );
      if (outcome) break;
      assert.ok(call < 200, "the plan ends");
      for (let round = 0; round < 4; round++) await scene.run();
      assert.equal(scene.world.machines.get("db")?.guest, "up", `killed at call ${call}`);
      if (scene.root() !== newer) continue;
      assert.ok(scene.contents().includes("work"), `killed at call ${call}: the newer root has lost what it wrote`);
    }
  });
}

test("who looks into an older generation is in no swap's way", async () => {
  const scene = await deployed("keep");
  const other = newMachine({ ...spec, id: { name: "other" }, description: "" });
  other.slots.set("scsi0", { volume: simulatedVolume(scene.older), options: "" });
  other.power = "on";
  scene.world.machines.set("other", other);
  const newest = "db-root-202611250601";
  const current = scene.world.images.get(scene.root()!)!;
  const about = { ...current.about!, stamp: "202611250601", system: systemAbout(sha256("newest"), "db", 0) };
  scene.world.images.set(newest, { ...current, about, content: [sha256("newest")] });
  const outcome = await scene.run({ targets: { db: { root: newest, restore: {} } } });
  assert.equal(outcome?.result, "done");
});
