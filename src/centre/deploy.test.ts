import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { sha256 } from "../base/hash.ts";
import type { ImageAbout } from "../pools/about.ts";
import { rehearse } from "../simulation/rehearse.ts";
import { newMachine } from "../simulation/simulated-hypervisor.ts";
import { plainMachine, type SmallCentre, smallCentre } from "../simulation/small-centre.testing.ts";
import { imageIn, type SimulatedImage, simulatedVolume } from "../simulation/world.ts";
import { executeAdoption, planAdoption } from "./adopt.ts";
import type { DesiredVolume } from "./desired.ts";
import { executePlan } from "./execute.ts";
import { executePrune } from "./execute-prune.ts";
import { generationsOf } from "./generations.ts";
import { measuredDurations, parseJournal } from "./journal.ts";
import { deployExitCodes } from "./outcome.ts";
import { planPrune } from "./prune.ts";
import { planRollBack } from "./roll-back.ts";
import { statusOf } from "./status.ts";

const state: DesiredVolume = {
  name: "state",
  image: "web-state",
  size: 2 ** 30,
  onRollBack: "restore",
  keepSnapshots: 3,
};
const version = (path: string, number: number) => sha256(`${path} ${number}`);

const beforeAnything = new Set(["take-lease", "list", "lease", "snapshots"]);

async function deployed(...given: Parameters<typeof smallCentre>): Promise<SmallCentre> {
  const centre = smallCentre(...given);
  const outcome = await centre.deploy();
  assert.equal(outcome.result, "done", JSON.stringify(outcome.machines));
  return centre;
}

describe("a deployment", () => {
  test("creates a machine, then has nothing to do, then swaps its root and nothing else", async () => {
    const centre = smallCentre({ web: { volumes: [state] } });
    const first = await centre.plan();
    assert.deepEqual(
      first.machines[0]!.steps.map(({ kind }) => kind),
      "publish clone verify promote define create-volume attach-root attach-volume power-on check confirm".split(" "),
    );
    assert.equal((await centre.execute(first)).result, "done");
    assert.equal(centre.world.images.get("web-root-202611250600")?.about?.role, "root");
    assert.equal((await centre.deploy()).result, "nothing-to-do");

    const volume = centre.machine("web").slots.get("scsi1");
    centre.change("web", { systemHash: version("web", 2) });
    const swap = await centre.plan();
    assert.equal(swap.machines[0]!.action, "swap");
    const outcome = await centre.execute(swap);
    assert.equal(outcome.result, "done");
    assert.ok(outcome.machines[0]!.outageSeconds! > 20, "an outage is measured");
    assert.equal(centre.world.images.get(imageIn(centre.machine("web"), "scsi0")!)?.content[0], version("web", 2));
    assert.deepEqual(centre.machine("web").slots.get("scsi1"), volume);
    assert.equal(centre.world.lease, undefined);
  });

  test("rolls root and declared state back when the checks fail, and remembers the failure", async () => {
    const centre = await deployed({ web: { volumes: [state] } });
    const before = centre.world.images.get("web-state")!.content;
    centre.change("web", { systemHash: version("web", 2) });
    centre.behave(version("web", 2), { passesChecks: false });
    const outcome = await centre.deploy();
    assert.equal(outcome.result, "rolled-back");
    assert.match(outcome.machines[0]!.reasons.join(), /a simulated check failed/);
    assert.equal(imageIn(centre.machine("web"), "scsi0"), "web-root-202611250600");
    assert.equal(centre.machine("web").guest, "up");
    // What the failed system wrote is gone from the volume, and kept in a snapshot.
    assert.deepEqual(centre.world.images.get("web-state")!.content, [...before, version("web", 1)]);
    const failed = [...centre.world.images.get("web-state")!.snapshots].find(([name]) => name.startsWith("failed-"));
    assert.deepEqual(failed?.[1], [...before, version("web", 2)]);

    const again = await centre.plan();
    assert.equal(again.machines[0]!.action, "blocked");
    assert.equal((await centre.execute(again)).result, "refused");
    centre.behave(version("web", 2), {});
    const forced = await centre.deploy({ force: "somebody" });
    assert.equal(forced.result, "done");
    const about = centre.world.images.get(imageIn(centre.machine("web"), "scsi0")!)!.about!;
    assert.equal(about.forced, "somebody");
    assert.equal(about.verdict?.passed, true);
  });

  test("restores what was there right before this swap, not before an earlier one that failed as well", async () => {
    const centre = await deployed({ web: { volumes: [state] } });
    const contents: (readonly string[])[] = [];
    for (const number of [2, 3]) {
      centre.change("web", { systemHash: version("web", number) });
      centre.behave(version("web", number), { passesChecks: false });
      assert.equal((await centre.deploy()).result, "rolled-back");
      contents.push(centre.world.images.get("web-state")!.content);
    }
    // The old system has written once more after each way back.
    assert.deepEqual(contents[1], [...contents[0]!, version("web", 1)]);
  });

  test("killed on the way back, is not tried again but taken back to the end", async () => {
    const centre = await deployed({ web: { volumes: [state] } });
    centre.change("web", { systemHash: version("web", 2) });
    centre.behave(version("web", 2), { passesChecks: false });
    let count = 0;
    const faultAt = (_: number, verb: string) => (verb === "power-off" && ++count === 2 ? "die-after" : undefined);
    const dying = executePlan(await centre.plan(), centre.hands("dying", faultAt));
    await centre.wait(Promise.race([dying, centre.world.clock.sleep(600)]));
    const next = await centre.plan();
    assert.equal(next.machines[0]!.action, "take-back");
    const { starts } = centre.machine("web");
    assert.equal((await centre.execute(next)).result, "rolled-back");
    assert.equal(centre.machine("web").starts, starts + 1, "the failed root is not started again");
    assert.equal(imageIn(centre.machine("web"), "scsi0"), "web-root-202611250600");
    assert.equal((await centre.plan()).machines[0]!.action, "blocked");
  });

  test("puts a machine up again that a killed deployment has left down, when it may not go on with it", async () => {
    const centre = await deployed({ canary: { wave: 0 }, web: {} });
    centre.change("web", { systemHash: version("web", 2) });
    const faultAt = (_: number, verb: string) => (verb === "attach" ? "die-before" : undefined);
    const dying = executePlan(await centre.plan(), centre.hands("dying", faultAt));
    await centre.wait(Promise.race([dying, centre.world.clock.sleep(600)]));
    assert.equal(centre.machine("web").power, "off");
    centre.change("canary", { systemHash: version("canary", 2) });
    centre.behave(version("canary", 2), { passesChecks: false });
    const outcome = await centre.deploy();
    assert.deepEqual(
      outcome.machines.map(({ result }) => result),
      ["rolled-back", "rolled-back"],
    );
    assert.equal(centre.machine("web").guest, "up");
    assert.equal(imageIn(centre.machine("web"), "scsi0"), "web-root-202611250600");
  });

  test("ends the way back that a killed deployment had begun, whatever the canaries do", async () => {
    const centre = await deployed({ canary: { wave: 0 }, web: {} });
    centre.change("web", { systemHash: version("web", 2) });
    centre.behave(version("web", 2), { passesChecks: false });
    let count = 0;
    const faultAt = (_: number, verb: string) => (verb === "power-off" && ++count === 2 ? "die-after" : undefined);
    const dying = executePlan(await centre.plan(), centre.hands("dying", faultAt));
    await centre.wait(Promise.race([dying, centre.world.clock.sleep(600)]));
    centre.change("canary", { systemHash: version("canary", 2) });
    centre.behave(version("canary", 2), { passesTrial: false });
    const outcome = await centre.deploy();
    assert.deepEqual(
      outcome.machines.map(({ result }) => result),
      ["rejected", "rolled-back"],
    );
    assert.equal(centre.machine("web").guest, "up");
  });

  test("throws a candidate away that holds another system than the program says by now", async () => {
    const centre = await deployed({ web: {} });
    for (const number of [2, 3]) {
      centre.change("web", { systemHash: version("web", number) });
      assert.equal((await centre.deploy({ goal: number === 2 ? "verify" : "deploy" })).result, "done");
    }
    assert.equal(centre.world.images.get(imageIn(centre.machine("web"), "scsi0")!)?.content[0], version("web", 3));
  });

  test("goes back to the last root that worked, over one that was never seen to", async () => {
    const centre = await deployed({ web: { volumes: [state] } });
    centre.change("web", { systemHash: version("web", 2) });
    centre.behave(version("web", 2), { passesChecks: false });
    const faultAt = (_: number, verb: string) => (verb === "check" ? "die-before" : undefined);
    const dying = executePlan(await centre.plan(), centre.hands("dying", faultAt));
    await centre.wait(Promise.race([dying, centre.world.clock.sleep(600)]));
    centre.change("web", { systemHash: version("web", 3) });
    centre.behave(version("web", 3), { passesChecks: false });
    assert.equal((await centre.deploy()).result, "rolled-back");
    assert.equal(imageIn(centre.machine("web"), "scsi0"), "web-root-202611250600");
    const { content } = centre.world.images.get("web-state")!;
    assert.deepEqual(content.slice(1), [version("web", 1), version("web", 1)]);
  });

  test("is not disturbed by any one answer that is lost, or comes late", async () => {
    for (const fault of ["lose-answer", "unreachable", "busy", "twice", "slow"] as const) {
      for (let number = 0, calls = 1; number < calls; number++) {
        const centre = smallCentre({ web: { volumes: [state] } });
        const seen = await centre.plan();
        calls = 0;
        const faultAt = (count: number, verb: string) => {
          calls = count + 1;
          // Whoever cannot get the lease, or look at the world, has not begun.
          return count === number && !beforeAnything.has(verb) ? fault : undefined;
        };
        const outcome = await centre.execute(seen, centre.hands("unlucky", faultAt));
        assert.equal(outcome.result, "done", `${fault} of call ${number}: ${JSON.stringify(outcome)}`);
      }
    }
  });

  test("leaves a machine alone that somebody has changed while others were deployed", async () => {
    const centre = await deployed({ first: {}, later: { wave: 2 } });
    for (const path of ["first", "later"]) centre.change(path, { systemHash: version(path, 2) });
    centre.world.watchers.push(({ verb }) => {
      if (verb === "booted") centre.machine("later").version = "changed by hand";
    });
    const outcome = await centre.deploy();
    assert.deepEqual(
      outcome.machines.map(({ result }) => result),
      ["done", "held"],
    );
    assert.match(outcome.machines[1]!.reasons.join(), /its configuration was changed/);
    assert.equal(outcome.result, "partly-done");
  });

  test("counts a peer that was left on a root nobody has seen work as down", async () => {
    const centre = await deployed({ a: { group: "dns" }, b: { group: "dns" } });
    for (const path of ["a", "b"]) centre.change(path, { systemHash: version(path, 2) });
    centre.behave(version("a", 2), { passesChecks: false });
    const faultAt = (_: number, verb: string) => (verb === "check" ? "die-before" : undefined);
    const dying = executePlan(await centre.plan(), centre.hands("dying", faultAt));
    await centre.wait(Promise.race([dying, centre.world.clock.sleep(600)]));
    const b = await centre.plan({ only: ["b"] });
    const outcome = await centre.execute(b);
    assert.equal(outcome.machines[0]!.result, "held");
    assert.match(outcome.machines[0]!.reasons.join(), /for a: of dns, 1 may be down/);
  });

  test("keeps the state of a volume that is declared so", async () => {
    const centre = await deployed({ web: { volumes: [{ ...state, onRollBack: "keep" }] } });
    centre.change("web", { systemHash: version("web", 2) });
    centre.behave(version("web", 2), { passesChecks: false });
    assert.equal((await centre.deploy()).result, "rolled-back");
    assert.ok(centre.world.images.get("web-state")!.content.includes(version("web", 2)));
  });

  test("touches no machine whose candidate fails its trial", async () => {
    const centre = await deployed({ web: {} });
    centre.change("web", { systemHash: version("web", 2) });
    centre.behave(version("web", 2), { passesTrial: false });
    const { starts } = centre.machine("web");
    const outcome = await centre.deploy();
    assert.deepEqual([outcome.result, outcome.machines[0]!.result], ["refused", "rejected"]);
    assert.equal(centre.machine("web").starts, starts);
  });

  test("refuses a plan when the world has moved, and says what", async () => {
    const centre = await deployed({ web: {}, dns: {} });
    centre.change("web", { systemHash: version("web", 2) });
    const plan = await centre.plan();
    // What the plan does not rest on may change.
    centre.machine("dns").version = "other";
    centre.machine("web").version = "other";
    const outcome = await centre.execute(plan);
    assert.equal(outcome.reasons.length, 1);
    assert.equal(outcome.result, "refused");
    assert.match(outcome.reasons.join(), /web has moved: its configuration was changed/);
  });

  test("is refused while somebody else holds the lease, and names them", async () => {
    const centre = await deployed({ web: {} });
    centre.change("web", { systemHash: version("web", 2) });
    const now = centre.world.clock.now();
    centre.world.lease = { holder: "eve@host process 7", purpose: "deploy", since: now, expires: now + 100 };
    const outcome = await centre.deploy();
    assert.equal(outcome.result, "refused");
    assert.match(outcome.reasons.join(), /eve@host process 7/);
  });

  test("stops before the later waves when a canary fails, and stops nobody unrelated otherwise", async () => {
    const machines = { canary: { wave: 0 }, one: { wave: 1 }, two: { wave: 1 }, three: { wave: 2 } };
    const centre = await deployed(machines);
    for (const path of Object.keys(machines)) centre.change(path, { systemHash: version(path, 2) });
    centre.behave(version("canary", 2), { passesChecks: false });
    const results = async () =>
      Object.fromEntries((await centre.deploy()).machines.map(({ path, result }) => [path, result]));
    assert.deepEqual(await results(), { canary: "rolled-back", one: "held", three: "held", two: "held" });
    centre.change("canary", { systemHash: version("canary", 3) });
    centre.behave(version("one", 2), { passesChecks: false });
    assert.deepEqual(await results(), { canary: "done", one: "rolled-back", three: "done", two: "done" });
  });

  test("takes a failed wave back whole when it is told to", async () => {
    const centre = await deployed({ one: {}, two: {}, later: { wave: 2 } });
    for (const path of ["one", "two", "later"]) centre.change(path, { systemHash: version(path, 2) });
    centre.behave(version("two", 2), { passesChecks: false });
    const outcome = await centre.deploy({ takeBack: "wave" });
    assert.equal(outcome.result, "rolled-back");
    for (const path of ["one", "two"]) {
      assert.equal(imageIn(centre.machine(path), "scsi0"), `${path}-root-202611250600`);
      assert.equal(centre.machine(path).guest, "up");
    }
    assert.equal(outcome.machines.find(({ path }) => path === "later")?.result, "held");
  });

  test("never has more of a group down than may be, and says who waits for whom", async () => {
    const centre = await deployed({ a: { group: "dns" }, b: { group: "dns" }, c: { group: "dns" } });
    for (const path of ["a", "b", "c"]) centre.change(path, { systemHash: version(path, 2) });
    const plan = await centre.plan();
    assert.match(plan.machines[0]!.waits.join(), /its peers, 1 of which may be down: b, c/);
    let most = 0;
    centre.world.watchers.push(() => {
      most = Math.max(most, [...centre.world.machines.values()].filter(({ guest }) => guest !== "up").length);
    });
    assert.equal((await centre.execute(plan)).result, "done");
    assert.equal(most, 1);
  });

  test("waits for a peer that is down for other reasons", async () => {
    const centre = await deployed({ a: { group: "dns" }, b: { group: "dns" } });
    centre.change("a", { systemHash: version("a", 2) });
    centre.machine("b").power = "paused";
    const outcome = await centre.deploy();
    assert.equal(outcome.machines[0]!.result, "held");
    assert.match(outcome.machines[0]!.reasons.join(), /for b: of dns, 1 may be down/);
    assert.equal(deployExitCodes[outcome.result], 6);
  });

  test("drains through another machine before, and undrains after, in this order", async () => {
    const hook = {
      on: "balancer",
      id: { name: "balancer" },
      title: "web's weight",
      before: ["0"],
      after: ["1"],
      deadlineSeconds: 9,
    };
    const centre = await deployed({ balancer: {}, web: { drain: [hook] } });
    centre.change("web", { systemHash: version("web", 2) });
    centre.change("balancer", { systemHash: version("balancer", 2) });
    // It is away for long: who went down beside it could not be undrained.
    centre.behave(version("balancer", 2), { bootSeconds: 100 });
    assert.equal((await centre.deploy()).result, "done");
    assert.deepEqual(centre.machine("balancer").commands.slice(-2), [["0"], ["1"]]);
  });

  test("changes cores while the machine is off, and goes back to the old ones", async () => {
    const centre = await deployed({ web: {} });
    const { spec } = centre.desired().machines[0]!;
    centre.change("web", { spec: { ...spec, cores: 4 } });
    const plan = await centre.plan();
    assert.deepEqual([plan.machines[0]!.action, plan.machines[0]!.reasons], ["reshape", ["4 cores instead of 1"]]);
    assert.equal((await centre.execute(plan)).result, "done");
    assert.equal(centre.machine("web").spec.cores, 4);
    centre.change("web", { spec: { ...spec, cores: 8 }, systemHash: version("web", 2) });
    centre.behave(version("web", 2), { boots: false });
    assert.equal((await centre.deploy()).result, "rolled-back");
    assert.equal(centre.machine("web").spec.cores, 4);
  });

  test("goes as far as it is told: publish, verify, promote", async () => {
    const centre = await deployed({ web: {} });
    const { starts } = centre.machine("web");
    centre.change("web", { systemHash: version("web", 2) });
    const kinds = async (goal: "publish" | "verify" | "promote" | "deploy") => {
      const plan = await centre.plan({ goal });
      assert.equal((await centre.execute(plan)).result, "done");
      return plan.machines[0]!.steps.map(({ kind }) => kind).join(" ");
    };
    assert.equal(await kinds("publish"), "publish");
    assert.equal(await kinds("verify"), "clone verify");
    assert.equal(await kinds("promote"), "promote");
    assert.equal(centre.machine("web").starts, starts);
    assert.equal(await kinds("deploy"), "mark power-off attach-root power-on check confirm");
  });

  test("leaves a machine alone that is busy, has pending changes, or was made by somebody else", async () => {
    const centre = await deployed({ busy: {}, pending: {}, foreign: {} });
    for (const path of ["busy", "pending", "foreign"]) centre.change(path, { systemHash: version(path, 2) });
    centre.machine("busy").power = "changing";
    centre.machine("pending").staged.set("scsi0", "something");
    centre.machine("foreign").slots.set("scsi0", { volume: "elsewhere:disk", options: "" });
    const plan = await centre.plan();
    assert.deepEqual(
      plan.machines.map(({ action }) => action),
      ["blocked", "foreign", "blocked"],
    );
    assert.equal((await centre.execute(plan)).result, "refused");
  });

  test("writes what it does into the journal, from which durations are learnt", async () => {
    const centre = await deployed({ web: {} });
    const entries = parseJournal([...centre.world.journal, "cut off {", '{"at":1}']);
    assert.deepEqual(entries.at(-1)?.result, "done");
    assert.ok(entries.some(({ next, machine }) => machine === "web" && next === "start"));
    const { check, publish } = measuredDurations(entries);
    assert.ok(check! > 15 && publish! > 1, `${check} ${publish}`);
  });
});

test("roll-back leads to an older generation, with its state where that is asked for", async () => {
  const centre = await deployed({ web: { volumes: [{ ...state, onRollBack: "keep" }] } });
  for (const number of [2, 3]) {
    centre.change("web", { systemHash: version("web", number) });
    assert.equal((await centre.deploy()).result, "done");
  }
  const machine = centre.desired().machines[0]!;
  const generations = generationsOf(await centre.observe(), machine);
  assert.deepEqual(
    generations.map(({ number, system, isCurrent }) => [number, system?.systemHash, isCurrent]),
    [1, 2, 3].map((number) => [number, version("web", number), number === 3]),
  );
  const options = { paths: ["web"], now: centre.world.clock.now() };
  const back = planRollBack(centre.desired(), await centre.observe(), options);
  assert.deepEqual([back.kind, back.machines[0]!.to?.image], ["roll-back", generations[1]!.root]);
  assert.equal((await centre.execute(back)).result, "done");
  assert.equal(imageIn(centre.machine("web"), "scsi0"), generations[1]!.root);
  const toFirst = { ...options, to: "1", withState: true, now: centre.world.clock.now() };
  assert.equal((await centre.execute(planRollBack(centre.desired(), await centre.observe(), toFirst))).result, "done");
  const content = centre.world.images.get("web-state")!.content;
  assert.equal(content.includes(version("web", 3)), false);
  assert.equal(content.at(-1), version("web", 1));
  const now = await centre.observe();
  assert.throws(() => planRollBack(centre.desired(), now, { ...options, to: "9" }), /no generation 9/);
  const second = { ...options, to: "2", withState: true };
  assert.doesNotThrow(() => planRollBack(centre.desired(), now, second));
});

test("prune keeps what is in use, what a way back needs, parents, volumes, and so many generations", async () => {
  const centre = await deployed({ web: { volumes: [{ ...state, keepSnapshots: 1 }] } });
  for (const number of [2, 3, 4, 5]) {
    centre.change("web", { systemHash: version("web", number) });
    assert.equal((await centre.deploy()).result, "done");
  }
  centre.world.documents.set(`system-${version("web", 1)}.json.gz`, new Uint8Array());
  centre.world.documents.set(`system-${version("web", 5)}.json.gz`, new Uint8Array());
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
  assert.deepEqual([...centre.world.documents.keys()], [`system-${version("web", 5)}.json.gz`]);
  const again = planPrune(centre.desired(), await centre.observe(), [...centre.world.documents.keys()]);
  assert.deepEqual(again.removals, []);
});

test("adopt makes a machine's disks ours, and the next deployment has a way back to them", async () => {
  const data: DesiredVolume = { ...state, image: "vm-127-state" };
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
  centre.change("drifted", { systemHash: version("drifted", 2) });
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
  for (const path of ["a", "b"]) centre.change(path, { systemHash: version(path, 2) });
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
  assert.deepEqual(
    rehearsal.steps.filter(({ path }) => path === "a").map(({ step }) => step),
    plan.machines[0]!.steps.filter(({ kind }) => kind !== "publish").map(({ kind }) => kind),
  );
});

test("94 machines are looked at and planned in a moment, and looking takes no lease", async () => {
  const paths = Array.from({ length: 94 }, (_, index) => `rack-${index % 8}/m${index}`);
  const machine = { volumes: [{ ...state, image: "" }], group: "all" };
  const given = paths.map((path) => [
    path,
    { ...machine, volumes: [{ ...state, image: `${path.replace("/", "-")}-state` }] },
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
