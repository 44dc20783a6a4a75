import type { DesiredCentre, DesiredMachine } from "./desired.ts";
import { usualDurations } from "./durations.ts";
import { type Look, lookAt } from "./look.ts";
import { basisOf, type Observation, type OwnImage } from "./observe.ts";
import { foreignReason, obstacles, remarks } from "./obstacles.ts";
import type { DeployGoal, MachineAction, MachinePlan, PlanOptions, RootSummary, VolumePlan } from "./plan.ts";
import { finishing, imagesOnly, type Route, reshaping, settling, starting, swapping, takingBack } from "./routes.ts";
import { parseShape, shapeDifferences } from "./shape.ts";
import { type Source, sourceOf } from "./source.ts";

export interface PlanContext {
  readonly desired: DesiredCentre;
  readonly observation: Observation;
  readonly options: PlanOptions & { readonly goal: DeployGoal };
}

/** Decides for one machine, as if there were no others: what it waits for is told by `waitsOf`. */
export function planMachine(context: PlanContext, machine: DesiredMachine): MachinePlan {
  const { observation, desired, options } = context;
  const look = lookAt(observation, machine);
  const decision = decide(context, look);
  const from = summary(look, decision.route?.from ?? look.current?.name);
  const to = decision.to ?? (decision.action === "none" ? from : undefined);
  return {
    path: machine.path,
    machine,
    action: decision.action,
    ...(from && { from }),
    ...(to && { to }),
    reasons: decision.reasons,
    waits: [],
    remarks: remarks(look),
    steps: decision.route?.steps ?? [],
    wayBack: decision.route?.wayBack ?? [],
    volumes: volumePlans(look, decision.route),
    outageSeconds: outage(decision.route, { ...usualDurations, ...options.durations }),
    basis: basisOf(observation, desired, machine),
  };
}

interface Decision {
  readonly action: MachineAction;
  readonly reasons: readonly string[];
  readonly route?: Route;
  readonly to?: RootSummary;
}

function decide(context: PlanContext, look: Look): Decision {
  const foreign = foreignReason(look, context.observation);
  if (foreign !== undefined) {
    return { action: "foreign", reasons: [foreign, "`meso adopt` takes it over"] };
  }
  const inTheWay = obstacles(look, context.observation);
  if (inTheWay.length > 0) return { action: "blocked", reasons: inTheWay };
  const goingBack = look.open.find(({ intent, root }) => intent.isGoingBack && root === look.current);
  if (goingBack) return decideTakeBack(context, look, goingBack.root, goingBack.intent.from);
  const target = context.options.targets?.[look.machine.path];
  return target ? decideRollBack(context, look, target) : decideDeploy(context, look);
}

function decideTakeBack(context: PlanContext, look: Look, failed: OwnImage, back: string | undefined): Decision {
  const from = look.roots.find(({ name }) => name === back);
  const reason = `${failed.name} failed its checks, and the way back was not ended`;
  if (!from) return { action: "blocked", reasons: [reason, `${back ?? "an older root"} is not in the pool any more`] };
  return {
    action: "take-back",
    reasons: [reason, "deploy again for what the program says"],
    route: takingBack(context, look, from),
    to: summary(look, from.name)!,
  };
}

function decideRollBack(
  context: PlanContext,
  look: Look,
  target: NonNullable<PlanOptions["targets"]>[string],
): Decision {
  const root = look.roots.find(({ name }) => name === target.root);
  if (!root) return { action: "blocked", reasons: [`${target.root} is not in the pool`] };
  if (root.about.verdict?.passed === false && context.options.force === undefined) {
    return {
      action: "blocked",
      reasons: [`${root.name} failed: ${failedChecks(root)}`, "say --force to use it still"],
    };
  }
  const to = summary(look, root.name)!;
  const isThere = root === look.current && Object.keys(target.restore).length === 0;
  if (isThere && root.about.intent !== undefined) return decideFinish(context, look, root);
  if (isThere) return { action: "none", reasons: [`${root.name} is what it runs`], to };
  const reasons = [`back to ${root.name}`, ...Object.values(target.restore).map((name) => `state of ${name}`)];
  const source: Source = { images: [], root: root.name, stamp: root.about.stamp, isPromoted: true };
  return { action: "roll-back", reasons, route: swapping(context, look, source, target.restore), to };
}

function decideDeploy(context: PlanContext, look: Look): Decision {
  const { machine, current, state } = look;
  if (current && isWanted(current, machine)) return decideSame(context, look, current);
  const reasons = swapReasons(look);
  const source = sourceOf(context, look);
  if ("blocked" in source) {
    const unsettled = current && look.open.some(({ intent }) => !intent.isStaged);
    if (!unsettled) return { action: "blocked", reasons: [...reasons, ...source.blocked] };
    const why = [...source.blocked, "a swap was begun and not ended"];
    return {
      action: "take-back",
      reasons: why,
      route: settling(context, look, current),
      to: summary(look, current.name)!,
    };
  }
  const to = newRoot(look, source);
  if (context.options.goal !== "deploy") {
    const route = imagesOnly(context, look, source);
    if (route.steps.length > 0) return { action: "prepare", reasons, route, to };
    return { action: "none", reasons: [...reasons, "its images are prepared"], to };
  }
  const action = state && current ? "swap" : "create";
  return { action, reasons, route: swapping(context, look, source, {}), to };
}

/** The right root is attached: what else may be left to do. */
function decideSame(context: PlanContext, look: Look, current: OwnImage): Decision {
  const { machine, state, volumes, open } = look;
  const to = summary(look, current.name)!;
  if (context.options.goal !== "deploy") return { action: "none", reasons: ["it runs what the program says"], to };
  if (current.about.intent !== undefined) return decideFinish(context, look, current);
  if (open.some(({ intent }) => !intent.isStaged)) {
    const reasons = ["a swap was begun and not ended; the program says what it ran before"];
    return { action: "finish", reasons, route: settling(context, look, current), to };
  }
  const shape = current.about.shape === undefined ? undefined : parseShape(current.about.shape);
  const reasons = [
    ...(shape ? shapeDifferences(shape, machine.spec) : []),
    ...volumes.filter(({ isAttached }) => !isAttached).map(({ wanted }) => `volume ${wanted.name} is not attached`),
  ];
  if (reasons.length > 0) return { action: "reshape", reasons, route: reshaping(context, look, current), to };
  if (state?.power !== "on") {
    const why = state?.power === "crashed" ? "it has crashed" : "it is off";
    return { action: "start", reasons: [why], route: starting(look), to };
  }
  return { action: "none", reasons: ["it runs what the program says"], to };
}

function decideFinish(context: PlanContext, look: Look, current: OwnImage): Decision {
  const reasons = [`a swap to ${current.name} was begun and not ended`];
  const route = finishing(context, look, current);
  if (current.about.verdict?.passed === false && route.from === undefined && context.options.force === undefined) {
    const why = [`${current.name} failed: ${failedChecks(current)}`, "there is no older root to go back to"];
    return { action: "blocked", reasons: [...why, "change the program, or say --force"] };
  }
  return { action: "finish", reasons, route, to: summary(look, current.name)! };
}

/** Whether a root holds the system that the program says, on a disk of the size it says. */
function isWanted({ about, size }: OwnImage, machine: DesiredMachine): boolean {
  return about.system?.systemHash === machine.systemHash && size === machine.diskSize;
}

function swapReasons({ machine, current, state }: Look): string[] {
  if (!state) return ["the hypervisor does not have it"];
  if (!current) return ["it has no root yet"];
  const runs = current.about.system?.systemHash;
  const shape = current.about.shape === undefined ? undefined : parseShape(current.about.shape);
  return [
    ...(runs === undefined ? ["it runs a system that we have not made"] : []),
    ...(runs !== undefined && runs !== machine.systemHash
      ? [`it runs system ${short(runs)}, the program says ${short(machine.systemHash)}`]
      : []),
    ...(current.size !== machine.diskSize
      ? [`its root has ${current.size} bytes, the program says ${machine.diskSize}`]
      : []),
    ...(shape ? shapeDifferences(shape, machine.spec) : []),
    ...(state.power === "on" ? [] : ["it is down, and will be started"]),
  ];
}

function short(hash: string): string {
  return hash.slice(0, 12);
}

function failedChecks({ about }: OwnImage): string {
  return about.verdict?.failed.join("; ") || "its verdict is not a passing one";
}

function newRoot({ machine, images }: Look, { root, stamp, published }: Source): RootSummary {
  const system = images.find(({ name }) => name === root || name === published)?.about.system;
  return {
    image: root,
    stamp,
    systemHash: machine.systemHash,
    ...(system ? { imageHash: system.imageHash } : machine.imageHash !== undefined && { imageHash: machine.imageHash }),
  };
}

function summary({ roots }: Look, name: string | undefined): RootSummary | undefined {
  const root = roots.find((one) => one.name === name);
  if (!root) return undefined;
  const { stamp, system } = root.about;
  return {
    image: root.name,
    stamp,
    ...(system && { systemHash: system.systemHash, imageHash: system.imageHash }),
  };
}

function volumePlans({ volumes }: Look, route: Route | undefined): VolumePlan[] {
  const steps = route?.steps ?? [];
  return volumes.map(({ wanted, found, slot }) => {
    const image = found?.name ?? wanted.image;
    const snapshot = steps.find((one) => one.kind === "snapshot" && one.volume === image);
    const restored = steps.find((one) => one.kind === "restore" && one.volume === image);
    return {
      name: wanted.name,
      image,
      slot,
      isNew: !found,
      ...(snapshot?.kind === "snapshot" && { snapshot: snapshot.snapshot }),
      ...(restored?.kind === "restore" && { restored: restored.snapshot }),
      onRollBack: wanted.onRollBack,
    };
  });
}

/** From when the machine goes down until its checks have passed. */
function outage(route: Route | undefined, durations: typeof usualDurations): number {
  const steps = route?.steps ?? [];
  const start = steps.findIndex(({ kind }) => kind === "power-off");
  const end = steps.findIndex(({ kind }) => kind === "check");
  if (start < 0 || end < 0) return 0;
  const seconds = steps.slice(start, end + 1).reduce((sum, { kind }) => sum + durations[kind], 0);
  return Math.round(seconds * 10) / 10;
}
