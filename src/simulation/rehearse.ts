import { usualDurations } from "../centre/durations.ts";
import { executePlan } from "../centre/execute.ts";
import type { DeployEvent } from "../centre/hands.ts";
import type { Observation, ObservedMachine } from "../centre/observe.ts";
import type { DeployOutcome } from "../centre/outcome.ts";
import type { Durations, MachinePlan, Plan } from "../centre/plan.ts";
import type { StepKind } from "../centre/steps.ts";
import { actor } from "./actor.ts";
import { simulatedHands } from "./simulated-hands.ts";
import { newMachine } from "./simulated-hypervisor.ts";
import { virtualClock } from "./virtual-clock.ts";
import { emptyWorld, machineKey, type SimulatedMachine, simulatedVolume, type World, wellBehaved } from "./world.ts";

/** What a deployment is expected to be like, when nothing fails. */
export interface Rehearsal {
  readonly outcome: DeployOutcome;
  /** In the order in which they begin. */
  readonly steps: readonly RehearsedStep[];
  /** Seconds, in all. */
  readonly seconds: number;
  /** By path: seconds without the machine. */
  readonly outages: Readonly<Record<string, number>>;
}

export interface RehearsedStep {
  readonly path: string;
  readonly step: StepKind;
  readonly text: string;
  /** Seconds from the beginning. */
  readonly at: number;
  readonly seconds: number;
}

/**
 * Runs the executor on a plan, against a simulated centre that looks like the observed one: order, waits and limits are
 * those of the real run. Nothing real is asked or changed.
 *
 * @param measured seconds that steps took here before: see `measuredDurations`
 */
export async function rehearse(plan: Plan, observation: Observation, measured: Durations = {}): Promise<Rehearsal> {
  const durations = { ...usualDurations, ...measured };
  const clock = virtualClock(0);
  const bootSeconds = Math.max(1, durations.check);
  const behaviour = { ...wellBehaved, bootSeconds, shutdownSeconds: durations["power-off"] };
  const world = emptyWorld(plan.centre, clock, () => behaviour);
  world.commandSeconds = durations.drain;
  fill(world, plan, observation);
  const steps: RehearsedStep[] = [];
  const open = new Map<string, { text: string; at: number }>();
  const report = (event: DeployEvent) => {
    if (event.kind === "step") open.set(event.path, { text: event.text, at: clock.now() });
    const begun = event.kind === "stepped" ? open.get(event.path) : undefined;
    if (event.kind === "stepped" && begun) {
      steps.push({ path: event.path, step: event.step, ...begun, seconds: rounded(event.seconds) });
    }
  };
  const hands = simulatedHands(
    world,
    actor(world, "rehearsal", () => undefined),
    {
      report,
      durations: { build: durations.publish, trial: durations.verify },
    },
  );
  const outcome = await clock.until(executePlan(asSimulated(plan, observation, durations), hands));
  return {
    outcome,
    steps: steps.sort((a, b) => a.at - b.at).map((step) => ({ ...step, at: rounded(step.at) })),
    seconds: rounded(outcome.seconds),
    outages: Object.fromEntries(
      outcome.machines.flatMap(({ path, outageSeconds }) =>
        outageSeconds === undefined ? [] : [[path, rounded(outageSeconds)]],
      ),
    ),
  };
}

function rounded(seconds: number): number {
  return Math.round(seconds * 10) / 10;
}

function fill(world: World, plan: Plan, observation: Observation): void {
  for (const { name, size, about, parent } of observation.images) {
    world.images.set(name, {
      size,
      about,
      ...(parent !== undefined && { parent: { image: parent } }),
      content: [about?.system?.systemHash ?? "unknown"],
      snapshots: new Map((observation.snapshots[name] ?? []).map((snapshot) => [snapshot, ["earlier"]])),
    });
  }
  for (const planned of plan.machines) {
    const state = observation.machines[planned.path];
    if (state) world.machines.set(machineKey(planned.machine.id), asMachine(planned, state));
  }
  // Peers, and machines that others are drained through: only whether they are up counts.
  const peers = Object.values(plan.limits.groups).flatMap(({ members }) => members);
  const hosts = plan.machines.flatMap(({ machine }) => machine.drain.map(({ on, id }) => ({ path: on, id })));
  for (const { path, id } of [...peers, ...hosts]) {
    const state = observation.machines[path];
    if (!state || world.machines.has(machineKey(id))) continue;
    world.machines.set(machineKey(id), withState(newMachine({ ...emptySpec, id }), state));
  }
}

const emptySpec = {
  architecture: "amd64",
  cores: 1,
  memoryMebibytes: 1024,
  firmware: "bios" as const,
  nics: [],
  description: "",
};

function asMachine({ machine }: MachinePlan, state: ObservedMachine): SimulatedMachine {
  const made = newMachine({ ...machine.spec, description: "" });
  // The root's slot first: it is what boots.
  const slots = Object.entries(state.slots).sort(
    ([a], [b]) => Number(b === machine.rootSlot) - Number(a === machine.rootSlot),
  );
  for (const [slot, { volume, image }] of slots) {
    made.slots.set(slot, { volume: image === undefined ? volume : simulatedVolume(image), options: "" });
  }
  return withState(made, state);
}

function withState(made: SimulatedMachine, state: ObservedMachine): SimulatedMachine {
  made.power = state.power;
  made.guest = state.power === "on" ? "up" : "down";
  made.version = state.version;
  made.hasAgent = state.hasAgent;
  made.managedBy = state.managedBy;
  made.snapshots = [...state.snapshots];
  for (const [slot, what] of Object.entries(state.staged)) made.staged.set(slot, what);
  return made;
}

/** The same plan, for a hypervisor that calls disks otherwise; deadlines are not what a rehearsal is about. */
function asSimulated(plan: Plan, observation: Observation, durations: typeof usualDurations): Plan {
  const machines = plan.machines.map((one) => {
    const held = observation.machines[one.path]?.slots[one.machine.rootSlot];
    const root = held?.image === undefined ? one.basis.root : simulatedVolume(held.image);
    const machine = {
      ...one.machine,
      bootSeconds: Math.max(one.machine.bootSeconds, 2 * durations.check),
      shutdownSeconds: Math.max(one.machine.shutdownSeconds, 2 * durations["power-off"]),
    };
    return { ...one, machine, basis: { ...one.basis, ...(root !== undefined && { root }) } };
  });
  return { ...plan, machines };
}
