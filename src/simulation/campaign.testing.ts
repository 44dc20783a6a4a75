import assert from "node:assert/strict";
import { sha256 } from "../base/hash.ts";
import { executePlan } from "../centre/execute.ts";
import type { DeployEvent } from "../centre/hands.ts";
import { observe } from "../centre/observe.ts";
import type { DeployOutcome } from "../centre/outcome.ts";
import { type Plan, planDeployment } from "../centre/plan.ts";
import { type Actor, actor, type Fault } from "./actor.ts";
import { cutPower, start, systemOf } from "./guest.ts";
import { watchInvariants } from "./invariants.testing.ts";
import { simulatedHands } from "./simulated-hands.ts";
import { nextVersion } from "./simulated-hypervisor.ts";
import { type Story, story } from "./story.testing.ts";
import { imageIn, machineKey, simulatedVolume } from "./world.ts";

export interface CampaignOptions {
  /** What goes wrong with calls of the first executors. */
  readonly faults: (round: number) => (number: number, verb: string) => Fault | undefined;
  /** Others change machines meanwhile. */
  readonly meddling?: boolean;
  readonly takeBack?: "machine" | "wave";
}

export interface Campaign {
  readonly story: Story;
  readonly violations: readonly string[];
  readonly rounds: readonly Round[];
  /** Everything that was said, for whoever looks into a failure. */
  readonly trace: readonly string[];
}

export interface Round {
  readonly plan: Plan;
  /** Absent: the executor was killed. */
  readonly outcome?: DeployOutcome;
  readonly calls: number;
}

const faultyRounds = 2;
const mostRounds = 12;

/** Deploys until nothing is left to do: first with faults, then without; each round as another process. */
export async function campaign(seed: number, options: CampaignOptions): Promise<Campaign> {
  let told = story(seed);
  const { world, random } = told;
  const actors = new Map<string, Actor>();
  const violations = watchInvariants(told, { isAlive: (holder) => actors.get(holder)?.isDead() === false });
  const trace: string[] = [];
  world.watchers.push(({ verb, by, image, machine }) => {
    if (verb !== "journal") trace.push(`${time(told)} ${verb} ${image ?? machine ?? ""} by ${by ?? "others"}`);
  });
  if (options.meddling) meddle(told, trace);
  const rounds: Round[] = [];
  while (rounds.length < mostRounds) {
    const number = rounds.length;
    const isFaulty = number < faultyRounds;
    const isQuiet = world.clock.now() > meddlingEnds(told);
    const one = actor(world, `round ${number}`, isFaulty ? options.faults(number) : () => undefined);
    actors.set(one.holder, one);
    // A wave that is taken back for one machine's sake would be begun and taken back for ever.
    const { takeBack: _, ...usual } = options;
    const round = await deploy(told, one, isFaulty ? options : usual, (text) => trace.push(`${time(told)} ${text}`));
    rounds.push(round);
    trace.push(`${time(told)} round ${number}: ${round.outcome?.result ?? "killed"}`);
    if (round.outcome) checkTruth(told, round, options);
    if (number === 0 && random.chance(0.3)) told = withNewerProgram(told);
    // A killed executor's lease has to end first; whoever is quick is refused.
    await world.clock.pass(isQuiet && random.chance(0.3) ? 10 : 200);
    if (!isFaulty && isQuiet && round.outcome && isSettled(round)) break;
  }
  return { story: told, violations, rounds, trace };
}

/** Somebody edits the program before the first deployment has come to its end. */
function withNewerProgram(told: Story): Story {
  const machines = told.desired.machines.map((machine) =>
    told.random.chance(0.5) ? { ...machine, systemHash: sha256(`${machine.path} newer`) } : machine,
  );
  return { ...told, desired: { ...told.desired, machines } };
}

/**
 * Two at once: the pool stops answering the first, whose lease ends; a second one takes over and works while the first
 * is still alive. Then a third one finds what is left.
 */
export async function duel(seed: number): Promise<Campaign> {
  const told = story(seed);
  const { world, random } = told;
  const actors = new Map<string, Actor>();
  const violations = watchInvariants(told, { isAlive: (holder) => actors.get(holder)?.isDead() === false });
  const trace: string[] = [];
  world.watchers.push(({ verb, by, image, machine }) => {
    if (verb !== "journal") trace.push(`${time(told)} ${verb} ${image ?? machine ?? ""} by ${by ?? "others"}`);
  });
  const start = world.clock.now();
  const [silentFrom, silentFor] = [random.below(200), 100 + random.below(300)];
  const isSilent = () => {
    const since = world.clock.now() - start - silentFrom;
    return since >= 0 && since < silentFor;
  };
  const poolVerbs = new Set([
    "take-lease",
    "release-lease",
    "list",
    "describe",
    "rename",
    "clone",
    "snapshot",
    "journal",
  ]);
  const enter = (holder: string, isCutOff: boolean): Actor => {
    const one = actor(world, holder, (_number, verb) =>
      isCutOff && isSilent() && poolVerbs.has(verb) ? "unreachable" : undefined,
    );
    actors.set(holder, one);
    return one;
  };
  const options: CampaignOptions = { faults: () => () => undefined, meddling: true };
  const say = (who: string) => (text: string) => trace.push(`${time(told)} ${who} ${text}`);
  const rounds: Round[] = [];
  const one = async (who: string, isCutOff: boolean) => {
    rounds.push(await working(told, enter(who, isCutOff), options, say(who)));
  };
  const second = async () => {
    for (let count = 0; count < 10; count++) {
      await world.clock.sleep(60);
      await one(`second ${count}`, false);
      if (rounds.at(-1)!.outcome!.machines.length > 0) return;
    }
  };
  await world.clock.until(Promise.all([one("first", true), second()]));
  for (let count = 0; count < mostRounds - 1; count++) {
    await world.clock.pass(200);
    await world.clock.until(one(`third ${count}`, false));
    if (isSettled(rounds.at(-1)!)) break;
  }
  return { story: told, violations, rounds: rounds.slice(-mostRounds + 1), trace };
}

async function deploy(told: Story, one: Actor, options: CampaignOptions, say: (text: string) => void): Promise<Round> {
  const { world, desired } = told;
  const dead = (async () => {
    while (!one.isDead()) await world.clock.sleep(1);
  })();
  const ended = await world.clock.until(Promise.race([working(told, one, options, say), dead]));
  if (ended) return ended;
  const observation = { centre: "sim", images: [], machines: {}, others: [], snapshots: {}, hash: "" };
  const nothing = planDeployment({ ...desired, machines: [] }, observation, { now: world.clock.now() });
  return { plan: nothing, calls: one.calls() };
}

/** One process: observes, plans, executes, and is gone. */
async function working(
  { world, desired }: Story,
  one: Actor,
  { takeBack }: CampaignOptions,
  say: (text: string) => void,
): Promise<Round> {
  const hands = simulatedHands(world, one, { report: (event) => say(describe(event)) });
  for (;;) {
    const observation = await observe(hands.pool, hands.hypervisor, desired).catch((error: Error) => error);
    if (observation instanceof Error) {
      say(`could not observe: ${observation.message}`);
      await one.sleep(30);
      continue;
    }
    const plan = planDeployment(desired, observation, { now: world.clock.now(), ...(takeBack && { takeBack }) });
    for (const { path, action, steps } of plan.machines) {
      say(`plan ${path}: ${action}: ${steps.map(({ kind }) => kind).join(" ")}`);
    }
    const outcome = await executePlan(plan, hands);
    one.kill();
    return { plan, outcome, calls: one.calls() };
  }
}

/** What an outcome says of a machine is so. */
function checkTruth(told: Story, { plan, outcome }: Round, options: CampaignOptions): void {
  const { world } = told;
  if (options.meddling || !outcome) return;
  for (const { path, result, reasons } of outcome.machines) {
    const { machine, from, to, basis } = plan.machines.find((one) => one.path === path)!;
    const simulated = world.machines.get(machineKey(machine.id));
    const root = simulated && imageIn(simulated, machine.rootSlot);
    if (result !== "done") assert.ok(reasons.length > 0, `${path} is ${result} for no reason`);
    if (result === "done") {
      assert.equal(root, to?.image, `${path} is said to be done`);
      assert.equal(simulated?.guest, "up", `${path} is said to be done`);
    }
    if (result === "rolled-back") {
      assert.equal(root, from?.image, `${path} is said to be rolled back`);
      assert.equal(simulated?.guest, "up", `${path} is said to be rolled back`);
    }
    if (result === "held" || result === "rejected" || result === "failed") {
      if (basis.machine === "absent") {
        assert.notEqual(simulated?.power, "on", `${path} is said not to have come up`);
        continue;
      }
      const then = basis.root === undefined || basis.root === "none" ? undefined : basis.root;
      assert.equal(root && simulatedVolume(root), then, `${path} is said to be untouched`);
    }
  }
  const results = new Set(outcome.machines.map(({ result }) => result));
  if (outcome.result === "done") assert.deepEqual([...results], ["done"]);
  if (outcome.result === "nothing-to-do")
    assert.equal(
      plan.machines.every(({ steps }) => steps.length === 0),
      true,
    );
  if (outcome.result === "rolled-back") assert.ok(results.has("rolled-back") && !results.has("done"));
  if (outcome.result === "refused") assert.ok(!results.has("done") && !results.has("broken"));
}

/** Nothing changes any more, whether the goal is reached or not. */
function isSettled({ plan, outcome }: Round): boolean {
  const wasTried = outcome!.machines.length === plan.machines.filter(({ steps }) => steps.length > 0).length;
  // Whoever dies in a shutdown leaves a machine that is still at it.
  const isBusy = plan.machines.some(({ basis }) => basis.power === "changing");
  return (
    wasTried && !isBusy && outcome!.machines.every(({ result }) => ["held", "failed", "unfinished"].includes(result))
  );
}

/** After the last round: every machine is where the program wants it, or a reason says why it is not, and it works. */
export function checkConverged({ story: told, rounds }: Campaign): void {
  const { plan, outcome } = rounds.at(-1)!;
  assert.ok(outcome, "the last round was not killed");
  assert.ok(rounds.length < mostRounds, `settled after ${rounds.length} rounds`);
  for (const { path, action, reasons, machine, steps } of plan.machines) {
    const simulated = told.world.machines.get(machineKey(machine.id));
    const result = outcome.machines.find((one) => one.path === path);
    if (action === "none") {
      assert.equal(steps.length, 0);
      assert.equal(simulated && systemOf(told.world, simulated), machine.systemHash, `${path} runs its system`);
      assert.equal(simulated?.guest, "up", `${path} is up`);
      for (const { name } of machine.volumes) {
        const slots = [...simulated!.slots.values()].map(
          ({ volume }) => told.world.images.get(volume.slice(10))?.about,
        );
        assert.ok(
          slots.some((about) => about?.volume === name && about.machine === path),
          `${path} has ${name}`,
        );
      }
      continue;
    }
    assert.ok(reasons.length > 0 || (result?.reasons.length ?? 0) > 0, `${path} is ${action} for no reason`);
  }
}

/** Every machine that worked at the beginning works at the end. */
export function checkAllUp({ story: told, trace }: Campaign): void {
  for (const machine of told.desired.machines) {
    const beginning = told.beginnings.get(machine.path);
    if (beginning === "absent" || beginning === "off") continue;
    const simulated = told.world.machines.get(machineKey(machine.id))!;
    assert.equal(simulated.guest, "up", `${machine.path} is up at the end\n${trace.join("\n")}`);
  }
}

function meddlingEnds({ world }: Story): number {
  return ends.get(world) ?? 0;
}

const ends = new WeakMap<object, number>();

/** Somebody else's hands: power, crashes, settings, images. */
function meddle(told: Story, trace: string[]): void {
  const { world, random, desired } = told;
  const deeds = 1 + random.below(4);
  let last = 0;
  for (let i = 0; i < deeds; i++) {
    const delay = random.below(600);
    last = Math.max(last, delay);
    const { id, path } = random.pick(desired.machines);
    const kind = random.pick(["settings", "off", "crash", "on", "candidate", "boot"] as const);
    world.clock.after(delay, () => {
      const machine = world.machines.get(machineKey(id));
      trace.push(`${time(told)} others: ${kind} of ${path}`);
      if (kind === "candidate") {
        for (const [name, { about }] of [...world.images]) {
          if (about?.role === "candidate" && about.machine === path) world.images.delete(name);
        }
      }
      if (!machine) return;
      if (kind === "settings") machine.version = nextVersion(machine.version);
      if (kind === "off" && machine.power === "on") cutPower(world, machine);
      if (kind === "crash" && machine.power === "on") {
        machine.power = "crashed";
        machine.guest = "down";
      }
      if ((kind === "on" || kind === "boot") && machine.power === "off") start(world, machine, undefined);
    });
  }
  ends.set(world, world.clock.now() + last + 60);
}

function time({ world }: Story): string {
  return new Date(world.clock.now() * 1000).toISOString().slice(11, 23);
}

function describe(event: DeployEvent): string {
  if (event.kind === "machine") {
    const { path, result, reasons } = event.outcome;
    return `   ${path}: ${result}${reasons.map((reason) => `; ${reason}`).join("")}`;
  }
  if (event.kind === "stepped") return `   ${event.path}: ${event.step} took ${event.seconds.toFixed(1)} s`;
  return `   ${"path" in event ? `${event.path}: ` : ""}${event.text}`;
}
