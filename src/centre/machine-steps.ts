import { failure, MesoError } from "../base/error.ts";
import type { MachineState } from "../hypervisors/hypervisor.ts";
import { carryCredentials } from "../hypervisors/machine-credentials.ts";
import type { ImageName } from "../pools/pool.ts";
import type { DesiredDrain } from "./desired.ts";
import { stampOf } from "./image-names.ts";
import { parseIntent } from "./intent.ts";
import { type MachineRun, type Run, reasonOf } from "./run.ts";
import { parseShape } from "./shape.ts";
import type { Act } from "./steps.ts";

type ActOf<Kind extends Act["kind"]> = Extract<Act, { kind: Kind }>;

/** Seconds for a pool to notice that a machine's process is gone: Ceph's watches last 30. */
const closingSeconds = 90;

/** One after the other, as they are written. */
export async function drain(run: Run, { plan, drained, unsure }: MachineRun): Promise<void> {
  for (const hook of plan.machine.drain) {
    const wasDrained = drained.has(hook);
    drained.add(hook);
    try {
      await runHook(run, hook, hook.before, `${hook.title} could not be drained`);
      unsure.delete(hook);
    } catch (error) {
      // An agent may fall silent before it has the command, or while the command runs.
      if (!wasDrained && isSilence(error)) unsure.add(hook);
      throw error;
    }
  }
}

/** The other way round; of a drain that was not ended, only what was begun. */
export async function undrain(run: Run, { plan, drained, unsure, begun }: MachineRun): Promise<void> {
  const isWhole = !begun.has("drain") || begun.has("power-off");
  for (const hook of plan.machine.drain.toReversed()) {
    if (!isWhole && !drained.has(hook)) continue;
    try {
      await runHook(run, hook, hook.after, `${hook.title} could not be undrained`);
    } catch (error) {
      // Nobody there: most likely it never heard of the drain.
      if (isWhole || !unsure.has(hook) || !isSilence(error)) throw error;
      run.hands.report({
        kind: "trouble",
        path: plan.path,
        text: `${hook.title} may still be drained: ${reasonOf(error)}`,
      });
    }
    drained.delete(hook);
    unsure.delete(hook);
  }
}

function isSilence(error: unknown): boolean {
  return error instanceof MesoError && (error.code === "agent-silent" || error.code === "no-machine");
}

/** Off, and certain: the hypervisor says so, and nobody has one of its disks open. */
export async function powerOff(run: Run, machine: MachineRun): Promise<void> {
  const { hypervisor, pool, clock } = run.hands;
  const { plan } = machine;
  const { id, shutdownSeconds, mayCutPower } = plan.machine;
  const before = await hypervisor.inspect(id);
  if (!before) return;
  run.lease.guard();
  const root = before.slots.get(plan.machine.rootSlot)?.volume;
  const hasFailed = machine.hasFailed || isUnproven(run, root);
  await hypervisor.powerOff(id, {
    graceful: before.power === "on",
    deadlineSeconds: shutdownSeconds * (before.timeScale ?? 1),
    // A new root that has failed need not be able to shut down: without this there would be no way back from it.
    force: mayCutPower || before.power === "crashed" || hasFailed,
  });
  const disks = ownDisks(run, plan.path, before);
  for (const end = clock.now() + closingSeconds; ; await clock.sleep(1)) {
    const state = await hypervisor.inspect(id);
    const openers = (await Promise.all(disks.map((name) => pool.openers(name)))).flat();
    if ((!state || state.power === "off") && openers.length === 0) return;
    if (clock.now() < end) continue;
    if (state && state.power !== "off") {
      throw failure("power-off-timeout", `${plan.path} was shut down and is ${state.power}`);
    }
    throw failure("image-in-use", `${plan.path} is off, and its disks are still open: ${openers.join(", ")}`);
  }
}

/** As the shape says, which may be an older one; only while it is off, so that nothing is left pending. */
export async function define(run: Run, { plan }: MachineRun, { shape }: ActOf<"define">): Promise<void> {
  const { hypervisor } = run.hands;
  const { machine } = plan;
  const wanted = parseShape(shape);
  if (!wanted) throw failure("wrong-shape", `what is noted of an older definition of ${plan.path} cannot be read`);
  await mustBeOff(run, plan.path, machine.id);
  run.lease.guard();
  const { node, id } = machine.spec;
  const description = `${plan.path} of the centre ${run.plan.centre}, deployed by mesoforge`;
  await hypervisor.define({ ...wanted, id, ...(node !== undefined && { node }), description });
}

/** The slot must hold what was seen, or what we have put there: anything else is somebody else's doing. */
export async function attachRoot(run: Run, { plan }: MachineRun, { slot, root }: ActOf<"attach-root">): Promise<void> {
  const { hypervisor, pool } = run.hands;
  const { id } = plan.machine;
  const disk = pool.disk(root);
  const wanted = hypervisor.volumeName(disk);
  const state = await mustBeOff(run, plan.path, id);
  const held = state.slots.get(slot)?.volume;
  if (held === wanted) return;
  const ours = [plan.from?.image, plan.to?.image].flatMap((name) =>
    name !== undefined && run.images.get(name) ? [hypervisor.volumeName(pool.disk(name))] : [],
  );
  if (held !== undefined && held !== plan.basis.root && !ours.includes(held)) {
    throw failure("conflict", `${slot} of ${plan.path} holds ${held}, which somebody else has put there`);
  }
  await mustBeClosed(run, root);
  run.lease.guard();
  await hypervisor.attach(id, slot, disk, state.version, { boot: true });
}

export async function attachVolume(run: Run, { plan }: MachineRun, act: ActOf<"attach-volume">): Promise<void> {
  const { hypervisor, pool } = run.hands;
  const { id } = plan.machine;
  const disk = pool.disk(act.volume);
  const state = await mustBeOff(run, plan.path, id);
  const held = state.slots.get(act.slot)?.volume;
  if (held === hypervisor.volumeName(disk)) return;
  if (held !== undefined) throw failure("conflict", `${act.slot} of ${plan.path} holds ${held}`);
  await mustBeClosed(run, act.volume);
  run.lease.guard();
  await hypervisor.attach(id, act.slot, disk, state.version, { serial: act.serial });
}

export async function createVolume(run: Run, { plan }: MachineRun, act: ActOf<"create-volume">): Promise<void> {
  const { images, hands } = run;
  const about = images.get(act.volume)?.about;
  if (about?.role === "volume" && about.machine === plan.path && about.centre === run.plan.centre) return;
  await images.createVolume(act.volume, act.size, {
    formatVersion: 1,
    centre: run.plan.centre,
    machine: plan.path,
    role: "volume",
    volume: act.name,
    stamp: stampOf(hands.clock.now()),
  });
}

export async function snapshot(run: Run, act: ActOf<"snapshot">): Promise<void> {
  run.lease.guard();
  await run.hands.pool.snapshot(act.volume, act.snapshot);
}

export async function restore(run: Run, { plan }: MachineRun, act: ActOf<"restore">): Promise<void> {
  await mustBeOff(run, plan.path, plan.machine.id);
  run.lease.guard();
  await run.hands.pool.restoreSnapshot(act.volume, act.snapshot);
}

export async function powerOn(run: Run, { plan }: MachineRun): Promise<void> {
  const { hypervisor, secrets } = run.hands;
  const { id, bootSeconds } = plan.machine;
  run.lease.guard();
  // Those of the root before stay until this one has proved itself: the way back may need them.
  const given = secrets(plan.machine);
  if (given.size > 0) await hypervisor.giveCredentials?.(id, given, { keepsOthers: true });
  run.lease.guard();
  await hypervisor.powerOn(id, bootSeconds);
}

/** What only older systems of the machine needed, once the one that the program says has proved itself. */
export async function forgetOtherSecrets(run: Run, { plan }: MachineRun, root: ImageName): Promise<void> {
  const { hypervisor, secrets } = run.hands;
  if (run.images.get(root)?.about?.system?.systemHash !== plan.machine.systemHash) return;
  run.lease.guard();
  await hypervisor.giveCredentials?.(plan.machine.id, secrets(plan.machine));
}

/** @throws MesoError `checks-failed` with each of them. */
export async function check(run: Run, machine: MachineRun): Promise<void> {
  const { hypervisor } = run.hands;
  const { id, bootSeconds } = machine.plan.machine;
  const patience = { deadlineSeconds: bootSeconds, timeScale: (await hypervisor.inspect(id))?.timeScale ?? 1 };
  if (!hypervisor.giveCredentials) await carrySecrets(run, machine);
  const { failed, checks } = await run.hands.check(machine.plan.machine, hypervisor.agent(id), patience);
  if (failed.length > 0) throw failure("checks-failed", failed.join("; "));
  machine.checks = checks;
}

/** Where the hypervisor hands nothing over. A system that does not start has failed its checks by that. */
async function carrySecrets({ hands, lease }: Run, { plan: { machine } }: MachineRun): Promise<void> {
  const secrets = hands.secrets(machine);
  if (secrets.size === 0) return;
  const agent = hands.hypervisor.agent(machine.id);
  lease.guard();
  try {
    await agent.ping(machine.bootSeconds);
  } catch (error) {
    if (!(error instanceof MesoError) || error.code !== "agent-silent") throw error;
    throw failure("checks-failed", "the guest agent does not answer, and could not be given the machine's secrets");
  }
  await carryCredentials(agent, secrets);
}

/** Too many of them cost room, and nothing else: what cannot be removed is told and left. */
export async function trim(run: Run, { plan }: MachineRun, act: ActOf<"trim">): Promise<void> {
  for (const name of act.snapshots) {
    run.lease.guard();
    await run.hands.pool.removeSnapshot(act.volume, name).catch((error: unknown) => {
      run.hands.report({ kind: "trouble", path: plan.path, text: `snapshot ${name} is left: ${reasonOf(error)}` });
    });
  }
}

/** What it prints may be secret: only how it ended is told. */
async function runHook(run: Run, hook: DesiredDrain, argv: readonly string[], what: string): Promise<void> {
  run.lease.guard();
  const agent = run.hands.hypervisor.agent(hook.id);
  const { exitCode } = await agent.exec(argv, { deadline: hook.deadlineSeconds });
  if (exitCode !== 0) {
    throw failure("drain-failed", `${what}: the command on ${hook.on} ended with ${exitCode}`);
  }
}

/** A root that failed its checks, or was never seen to pass them. */
function isUnproven({ images, hands: { hypervisor, pool } }: Run, volume: string | undefined): boolean {
  const roots = [...images.all()].filter(({ about }) => about?.role === "root");
  const root = roots.find(({ name }) => hypervisor.volumeName(pool.disk(name)) === volume);
  const intent = root?.about?.intent === undefined ? undefined : parseIntent(root.about.intent);
  return root?.about?.verdict?.passed === false || (intent !== undefined && intent.from !== root?.name);
}

/** Volumes, and the roots that it has: who looks into an older generation is in nobody's way. */
function ownDisks(
  { images, plan: { centre }, hands: { hypervisor, pool } }: Run,
  path: string,
  { slots }: MachineState,
): ImageName[] {
  const attached = new Set([...slots.values()].map(({ volume }) => volume));
  return [...images.all()].flatMap(({ name, about }) => {
    if (about?.centre !== centre || about.machine !== path) return [];
    const isHad = about.role === "root" && attached.has(hypervisor.volumeName(pool.disk(name)));
    return isHad || about.role === "volume" ? [name] : [];
  });
}

async function mustBeOff({ hands }: Run, path: string, id: MachineRun["plan"]["machine"]["id"]) {
  const state = await hands.hypervisor.inspect(id);
  if (state && state.power !== "off") {
    throw failure("machine-on", `${path} was off, and is ${state.power}: somebody else has started it`);
  }
  return state ?? { slots: new Map<string, { volume: string }>(), version: "" };
}

async function mustBeClosed({ hands }: Run, name: ImageName): Promise<void> {
  const openers = await hands.pool.openers(name);
  if (openers.length > 0) throw failure("image-in-use", `${name} is open already: ${openers.join(", ")}`);
}
