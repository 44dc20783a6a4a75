import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { deployed, smallCentre, stateVolume, systemVersion } from "../simulation/small-centre.testing.ts";
import { imageIn } from "../simulation/world.ts";
import { executePlan } from "./execute.ts";
import { measuredDurations, parseJournal } from "./journal.ts";
import { deployExitCodes } from "./outcome.ts";

const beforeAnything = new Set(["take-lease", "list", "lease", "snapshots"]);

describe("a deployment", () => {
  test("creates a machine, then has nothing to do, then swaps its root and nothing else", async () => {
    const centre = smallCentre({ web: { volumes: [stateVolume] } });
    const first = await centre.plan();
    assert.deepEqual(
      first.machines[0]!.steps.map(({ kind }) => kind),
      "publish clone verify promote define create-volume attach-root attach-volume power-on check confirm".split(" "),
    );
    assert.equal((await centre.execute(first)).result, "done");
    assert.equal(centre.world.images.get("web-root-202611250600")?.about?.role, "root");
    assert.equal((await centre.deploy()).result, "nothing-to-do");

    const volume = centre.machine("web").slots.get("scsi1");
    centre.change("web", { systemHash: systemVersion("web", 2) });
    const swap = await centre.plan();
    assert.equal(swap.machines[0]!.action, "swap");
    const outcome = await centre.execute(swap);
    assert.equal(outcome.result, "done");
    assert.ok(outcome.machines[0]!.outageSeconds! > 20, "an outage is measured");
    assert.equal(
      centre.world.images.get(imageIn(centre.machine("web"), "scsi0")!)?.content[0],
      systemVersion("web", 2),
    );
    assert.deepEqual(centre.machine("web").slots.get("scsi1"), volume);
    assert.equal(centre.world.lease, undefined);
  });

  test("rolls root and declared state back when the checks fail, and remembers the failure", async () => {
    const centre = await deployed({ web: { volumes: [stateVolume] } });
    const before = centre.world.images.get("web-state")!.content;
    centre.change("web", { systemHash: systemVersion("web", 2) });
    centre.behave(systemVersion("web", 2), { passesChecks: false });
    const outcome = await centre.deploy();
    assert.equal(outcome.result, "rolled-back");
    assert.match(outcome.machines[0]!.reasons.join(), /a simulated check failed/);
    assert.equal(imageIn(centre.machine("web"), "scsi0"), "web-root-202611250600");
    assert.equal(centre.machine("web").guest, "up");
    // What the failed system wrote is gone from the volume, and kept in a snapshot.
    assert.deepEqual(centre.world.images.get("web-state")!.content, [...before, systemVersion("web", 1)]);
    const failed = [...centre.world.images.get("web-state")!.snapshots].find(([name]) => name.startsWith("failed-"));
    assert.deepEqual(failed?.[1], [...before, systemVersion("web", 2)]);

    const again = await centre.plan();
    assert.equal(again.machines[0]!.action, "blocked");
    assert.equal((await centre.execute(again)).result, "refused");
    centre.behave(systemVersion("web", 2), {});
    const forced = await centre.deploy({ force: "somebody" });
    assert.equal(forced.result, "done");
    const about = centre.world.images.get(imageIn(centre.machine("web"), "scsi0")!)!.about!;
    assert.equal(about.forced, "somebody");
    assert.equal(about.verdict?.passed, true);
  });

  test("restores what was there right before this swap, not before an earlier one that failed as well", async () => {
    const centre = await deployed({ web: { volumes: [stateVolume] } });
    const contents: (readonly string[])[] = [];
    for (const number of [2, 3]) {
      centre.change("web", { systemHash: systemVersion("web", number) });
      centre.behave(systemVersion("web", number), { passesChecks: false });
      assert.equal((await centre.deploy()).result, "rolled-back");
      contents.push(centre.world.images.get("web-state")!.content);
    }
    // The old system has written once more after each way back.
    assert.deepEqual(contents[1], [...contents[0]!, systemVersion("web", 1)]);
  });

  test("killed on the way back, is not tried again but taken back to the end", async () => {
    const centre = await deployed({ web: { volumes: [stateVolume] } });
    centre.change("web", { systemHash: systemVersion("web", 2) });
    centre.behave(systemVersion("web", 2), { passesChecks: false });
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
    centre.change("web", { systemHash: systemVersion("web", 2) });
    const faultAt = (_: number, verb: string) => (verb === "attach" ? "die-before" : undefined);
    const dying = executePlan(await centre.plan(), centre.hands("dying", faultAt));
    await centre.wait(Promise.race([dying, centre.world.clock.sleep(600)]));
    assert.equal(centre.machine("web").power, "off");
    centre.change("canary", { systemHash: systemVersion("canary", 2) });
    centre.behave(systemVersion("canary", 2), { passesChecks: false });
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
    centre.change("web", { systemHash: systemVersion("web", 2) });
    centre.behave(systemVersion("web", 2), { passesChecks: false });
    let count = 0;
    const faultAt = (_: number, verb: string) => (verb === "power-off" && ++count === 2 ? "die-after" : undefined);
    const dying = executePlan(await centre.plan(), centre.hands("dying", faultAt));
    await centre.wait(Promise.race([dying, centre.world.clock.sleep(600)]));
    centre.change("canary", { systemHash: systemVersion("canary", 2) });
    centre.behave(systemVersion("canary", 2), { passesTrial: false });
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
      centre.change("web", { systemHash: systemVersion("web", number) });
      assert.equal((await centre.deploy({ goal: number === 2 ? "verify" : "deploy" })).result, "done");
    }
    assert.equal(
      centre.world.images.get(imageIn(centre.machine("web"), "scsi0")!)?.content[0],
      systemVersion("web", 3),
    );
  });

  test("goes back to the last root that worked, over one that was never seen to", async () => {
    const centre = await deployed({ web: { volumes: [stateVolume] } });
    centre.change("web", { systemHash: systemVersion("web", 2) });
    centre.behave(systemVersion("web", 2), { passesChecks: false });
    const faultAt = (_: number, verb: string) => (verb === "check" ? "die-before" : undefined);
    const dying = executePlan(await centre.plan(), centre.hands("dying", faultAt));
    await centre.wait(Promise.race([dying, centre.world.clock.sleep(600)]));
    centre.change("web", { systemHash: systemVersion("web", 3) });
    centre.behave(systemVersion("web", 3), { passesChecks: false });
    assert.equal((await centre.deploy()).result, "rolled-back");
    assert.equal(imageIn(centre.machine("web"), "scsi0"), "web-root-202611250600");
    const { content } = centre.world.images.get("web-state")!;
    assert.deepEqual(content.slice(1), [systemVersion("web", 1), systemVersion("web", 1)]);
  });

  test("is not disturbed by any one answer that is lost, or comes late", async () => {
    for (const fault of ["lose-answer", "unreachable", "busy", "twice", "slow"] as const) {
      for (let number = 0, calls = 1; number < calls; number++) {
        const centre = smallCentre({ web: { volumes: [stateVolume] } });
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
    for (const path of ["first", "later"]) centre.change(path, { systemHash: systemVersion(path, 2) });
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
    for (const path of ["a", "b"]) centre.change(path, { systemHash: systemVersion(path, 2) });
    centre.behave(systemVersion("a", 2), { passesChecks: false });
    const faultAt = (_: number, verb: string) => (verb === "check" ? "die-before" : undefined);
    const dying = executePlan(await centre.plan(), centre.hands("dying", faultAt));
    await centre.wait(Promise.race([dying, centre.world.clock.sleep(600)]));
    const b = await centre.plan({ only: ["b"] });
    const outcome = await centre.execute(b);
    assert.equal(outcome.machines[0]!.result, "held");
    assert.match(outcome.machines[0]!.reasons.join(), /for a: of dns, 1 may be down/);
  });

  test("keeps the state of a volume that is declared so", async () => {
    const centre = await deployed({ web: { volumes: [{ ...stateVolume, onRollBack: "keep" }] } });
    centre.change("web", { systemHash: systemVersion("web", 2) });
    centre.behave(systemVersion("web", 2), { passesChecks: false });
    assert.equal((await centre.deploy()).result, "rolled-back");
    assert.ok(centre.world.images.get("web-state")!.content.includes(systemVersion("web", 2)));
  });

  test("touches no machine whose candidate fails its trial", async () => {
    const centre = await deployed({ web: {} });
    centre.change("web", { systemHash: systemVersion("web", 2) });
    centre.behave(systemVersion("web", 2), { passesTrial: false });
    const { starts } = centre.machine("web");
    const outcome = await centre.deploy();
    assert.deepEqual([outcome.result, outcome.machines[0]!.result], ["refused", "rejected"]);
    assert.equal(centre.machine("web").starts, starts);
  });

  test("refuses a plan when the world has moved, and says what", async () => {
    const centre = await deployed({ web: {}, dns: {} });
    centre.change("web", { systemHash: systemVersion("web", 2) });
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
    centre.change("web", { systemHash: systemVersion("web", 2) });
    const now = centre.world.clock.now();
    centre.world.lease = { holder: "eve@host process 7", purpose: "deploy", since: now, expires: now + 100 };
    const outcome = await centre.deploy();
    assert.equal(outcome.result, "refused");
    assert.match(outcome.reasons.join(), /eve@host process 7/);
  });

  test("stops before the later waves when a canary fails, and stops nobody unrelated otherwise", async () => {
    const machines = { canary: { wave: 0 }, one: { wave: 1 }, two: { wave: 1 }, three: { wave: 2 } };
    const centre = await deployed(machines);
    for (const path of Object.keys(machines)) centre.change(path, { systemHash: systemVersion(path, 2) });
    centre.behave(systemVersion("canary", 2), { passesChecks: false });
    const results = async () =>
      Object.fromEntries((await centre.deploy()).machines.map(({ path, result }) => [path, result]));
    assert.deepEqual(await results(), { canary: "rolled-back", one: "held", three: "held", two: "held" });
    centre.change("canary", { systemHash: systemVersion("canary", 3) });
    centre.behave(systemVersion("one", 2), { passesChecks: false });
    assert.deepEqual(await results(), { canary: "done", one: "rolled-back", three: "done", two: "done" });
  });

  test("takes a failed wave back whole when it is told to", async () => {
    const centre = await deployed({ one: {}, two: {}, later: { wave: 2 } });
    for (const path of ["one", "two", "later"]) centre.change(path, { systemHash: systemVersion(path, 2) });
    centre.behave(systemVersion("two", 2), { passesChecks: false });
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
    for (const path of ["a", "b", "c"]) centre.change(path, { systemHash: systemVersion(path, 2) });
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
    centre.change("a", { systemHash: systemVersion("a", 2) });
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
    centre.change("web", { systemHash: systemVersion("web", 2) });
    centre.change("balancer", { systemHash: systemVersion("balancer", 2) });
    // It is away for long: who went down beside it could not be undrained.
    centre.behave(systemVersion("balancer", 2), { bootSeconds: 100 });
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
    centre.change("web", { spec: { ...spec, cores: 8 }, systemHash: systemVersion("web", 2) });
    centre.behave(systemVersion("web", 2), { boots: false });
    assert.equal((await centre.deploy()).result, "rolled-back");
    assert.equal(centre.machine("web").spec.cores, 4);
  });

  test("goes as far as it is told: publish, verify, promote", async () => {
    const centre = await deployed({ web: {} });
    const { starts } = centre.machine("web");
    centre.change("web", { systemHash: systemVersion("web", 2) });
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
    for (const path of ["busy", "pending", "foreign"]) centre.change(path, { systemHash: systemVersion(path, 2) });
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
