import type { ImageName } from "../pools/pool.ts";
import { failedSnapshotName, leftSnapshotName, parseSnapshotName, stampOf } from "./image-names.ts";
import type { SwapIntent } from "./intent.ts";
import { type Look, nextSnapshotStamp } from "./look.ts";
import type { OwnImage } from "./observe.ts";
import type { PlanContext } from "./plan-machine.ts";
import type { Source } from "./source.ts";
import { type Act, type Step, step } from "./steps.ts";

/** Steps, and the steps back when one of them fails after the machine was touched. */
export interface Route {
  readonly steps: readonly Step[];
  readonly wayBack: readonly Step[];
  /** Root that the way back leads to. */
  readonly from?: ImageName;
}

/** To a root, new or old; `restore` brings volumes back to snapshots on the way. */
export function swapping(
  context: PlanContext,
  look: Look,
  source: Source,
  restore: Readonly<Record<ImageName, string>>,
): Route {
  const { machine, current, state } = look;
  const good = lastGood(look);
  const stamp = nextSnapshotStamp(look, stampOf(context.options.now));
  const snapshot = leftSnapshotName(current?.about.stamp ?? machineStart, stamp);
  const snapshots = takingSnapshots(look, snapshot);
  // What is before the first start of the first root that failed is what a way back restores.
  const before = openIntent(look, current)?.snapshot ?? (snapshots.length > 0 ? snapshot : undefined);
  const restored = snapshots.length > 0 ? Object.keys(restore).map((volume) => [volume, snapshot] as const) : [];
  const intent: SwapIntent = {
    ...(good && { from: good.name }),
    ...(before !== undefined && { snapshot: before }),
    ...(restored.length > 0 && { restored: Object.fromEntries(restored) }),
  };
  const acts: Act[] = [
    ...source.images,
    source.isPromoted
      ? { kind: "mark", root: source.root, intent }
      : { kind: "promote", candidate: candidateOf(source, look), root: source.root, intent },
    ...goingDown(look),
    ...snapshots,
    ...Object.entries(restore).map(([volume, name]): Act => ({ kind: "restore", volume, snapshot: name })),
    ...(state && current?.about.shape === machine.shape ? [] : [{ kind: "define", shape: machine.shape } as const]),
    ...volumeActs(look, { kind: "attach-root", slot: machine.rootSlot, root: source.root }),
    ...comingUp(look, source.root, machine.shape),
    ...trimming(look, snapshots, before),
  ];
  return {
    steps: acts.map(step),
    ...backTo(context, look, { good, failed: source.root, failedStamp: source.stamp, intent, willSnapshot: snapshots }),
  };
}

/** Publish, verify or promote, and not further. */
export function imagesOnly({ options }: PlanContext, look: Look, source: Source): Route {
  const kinds = {
    publish: ["publish"],
    verify: ["publish", "clone", "verify"],
    promote: ["publish", "clone", "verify"],
  };
  const wanted = kinds[options.goal === "deploy" ? "promote" : options.goal];
  const good = lastGood(look);
  const intent: SwapIntent = { ...(good && { from: good.name }), isStaged: true };
  const acts: Act[] = [
    ...source.images.filter(({ kind }) => wanted.includes(kind)),
    ...(options.goal === "promote" && !source.isPromoted
      ? [{ kind: "promote", candidate: candidateOf(source, look), root: source.root, intent } as const]
      : []),
  ];
  return { steps: acts.map(step), wayBack: [] };
}

/** Same root; cores, memory, nics or volumes become others. */
export function reshaping(context: PlanContext, look: Look, current: OwnImage): Route {
  const { machine } = look;
  const intent: SwapIntent = { from: current.name };
  const acts: Act[] = [
    { kind: "mark", root: current.name, intent },
    ...goingDown(look),
    { kind: "define", shape: machine.shape },
    ...volumeActs(look),
    ...comingUp(look, current.name, machine.shape),
  ];
  const failedStamp = current.about.stamp;
  return {
    steps: acts.map(step),
    ...backTo(context, look, { good: current, failed: current.name, failedStamp, intent, willSnapshot: [] }),
  };
}

/** The root is attached, and what comes after that was not ended. */
export function finishing(context: PlanContext, look: Look, current: OwnImage): Route {
  const { machine, state, volumes } = look;
  const intent = openIntent(look, current) ?? {};
  const good = look.roots.find(({ name }) => name === intent.from);
  const isDefined = (current.about.shape ?? good?.about.shape) === machine.shape;
  const isComplete = state?.power === "on" && isDefined && volumes.every(({ isAttached }) => isAttached);
  const acts: Act[] = isComplete
    ? comingUp(look, current.name, machine.shape)
    : [
        ...goingDown(look),
        { kind: "define", shape: machine.shape },
        ...volumeActs(look),
        ...comingUp(look, current.name, machine.shape),
      ];
  const failedStamp = current.about.stamp;
  return {
    steps: acts.map(step),
    ...backTo(context, look, { good, failed: current.name, failedStamp, intent, willSnapshot: [] }),
  };
}

/** The failed root is attached: on with the way back. */
export function takingBack(context: PlanContext, look: Look, good: OwnImage): Route {
  const current = look.current!;
  const intent = openIntent(look, current) ?? {};
  const failedStamp = current.about.stamp;
  const { wayBack } = backTo(context, look, { good, failed: current.name, failedStamp, intent, willSnapshot: [] });
  return { steps: wayBack, wayBack: [], from: good.name };
}

/** The old root is attached, or attached again; a swap away from it is still noted. */
export function settling(context: PlanContext, look: Look, current: OwnImage): Route {
  const { state, machine, open, snapshots } = look;
  const shape = current.about.shape ?? machine.shape;
  const stamp = nextSnapshotStamp(look, stampOf(context.options.now));
  // The swap may have brought volumes to older contents already, which are not this root's own.
  const restored = open.flatMap(({ root, intent }) =>
    Object.entries(intent.restored ?? {})
      .filter(([volume, snapshot]) => snapshots[volume]?.includes(snapshot))
      .flatMap(([volume, snapshot]) => restoring(volume, snapshot, failedSnapshotName(root.about.stamp, stamp))),
  );
  const acts: Act[] = [
    ...(state?.power === "crashed" ? [{ kind: "power-off" } as const] : []),
    ...(state?.power === "on" ? [] : restored),
    ...(state?.power === "on" ? [] : [{ kind: "define", shape } as const]),
    ...comingUp(look, current.name, current.about.shape),
  ];
  return { steps: acts.map(step), wayBack: [], from: current.name };
}

/** Off or crashed, and otherwise as it should be. */
export function starting({ state }: Look): Route {
  const acts: Act[] = [
    ...(state?.power === "crashed" ? [{ kind: "power-off" } as const] : []),
    { kind: "power-on" },
    { kind: "check" },
  ];
  return { steps: acts.map(step), wayBack: [] };
}

/** Stands for the system of a machine that had none. */
const machineStart = "197001010000";

interface Failing {
  readonly good: OwnImage | undefined;
  readonly failed: ImageName;
  readonly failedStamp: string;
  readonly intent: SwapIntent;
  /** Snapshots that the steps take themselves. */
  readonly willSnapshot: readonly Act[];
}

function backTo(context: PlanContext, look: Look, failing: Failing): Pick<Route, "wayBack" | "from"> {
  const { good, failed, failedStamp, intent, willSnapshot } = failing;
  if (!good) return { wayBack: [] };
  const { machine, snapshots } = look;
  const stamp = nextSnapshotStamp(look, stampOf(context.options.now));
  const isThere = (volume: ImageName, snapshot: string | undefined): snapshot is string =>
    (snapshots[volume] ?? []).includes(snapshot ?? "") ||
    willSnapshot.some((act) => act.kind === "snapshot" && act.volume === volume && act.snapshot === snapshot);
  const restored = look.volumes.flatMap(({ wanted, found }): Act[] => {
    if (!found) return [];
    const own = [wanted.onRollBack === "restore" ? intent.snapshot : undefined, intent.restored?.[found.name]];
    const snapshot = own.find((name) => isThere(found.name, name));
    return snapshot === undefined ? [] : restoring(found.name, snapshot, failedSnapshotName(failedStamp, stamp));
  });
  const shape = good.about.shape;
  const acts: Act[] = [
    { kind: "mark", root: failed, intent: { ...intent, isGoingBack: true } },
    { kind: "power-off" },
    ...restored,
    ...(shape !== undefined ? [{ kind: "define", shape } as const] : []),
    { kind: "attach-root", slot: machine.rootSlot, root: good.name },
    ...comingUp(look, good.name, shape, failed),
  ];
  return { wayBack: acts.map(step), from: good.name };
}

/** What a volume holds is never thrown away: it can be had back by `left`. */
function restoring(volume: ImageName, snapshot: string, left: string): Act[] {
  return [
    { kind: "snapshot", volume, snapshot: left },
    { kind: "restore", volume, snapshot },
  ];
}

/** The last root that is known to have worked. */
function lastGood(look: Look): OwnImage | undefined {
  const { current, roots } = look;
  const intent = openIntent(look, current);
  return intent ? roots.find(({ name }) => name === intent.from) : current;
}

function openIntent({ open }: Look, root: OwnImage | undefined): SwapIntent | undefined {
  return open.find((one) => one.root === root)?.intent;
}

function candidateOf({ images }: Source, { candidate }: Look): ImageName {
  const clone = images.find((act) => act.kind === "clone");
  return clone?.kind === "clone" ? clone.candidate : candidate!.name;
}

function goingDown({ machine, state }: Look): Act[] {
  if (!state) return [];
  return [...(machine.drain.length > 0 ? [{ kind: "drain" } as const] : []), { kind: "power-off" }];
}

/** @param also another root whose note ends with this */
function comingUp({ machine, open }: Look, root: ImageName, shape: string | undefined, also?: ImageName): Act[] {
  const settles = [...open.map((one) => one.root.name), ...(also !== undefined ? [also] : [])];
  return [
    { kind: "power-on" },
    { kind: "check" },
    ...(machine.drain.length > 0 ? [{ kind: "undrain" } as const] : []),
    {
      kind: "confirm",
      root,
      ...(shape !== undefined && { shape }),
      settles: [...new Set(settles)].filter((name) => name !== root).sort(),
    },
  ];
}

function takingSnapshots({ state, volumes }: Look, snapshot: string): Act[] {
  if (!state) return [];
  return volumes.flatMap(({ found }): Act[] => (found ? [{ kind: "snapshot", volume: found.name, snapshot }] : []));
}

/** Volumes come first: a machine never starts without one of its disks. */
function volumeActs({ volumes }: Look, root?: Act): Act[] {
  return [
    ...volumes.flatMap(({ wanted, found }): Act[] =>
      found ? [] : [{ kind: "create-volume", volume: wanted.image, name: wanted.name, size: wanted.size }],
    ),
    ...(root ? [root] : []),
    ...volumes.flatMap(({ wanted, found, slot, isAttached }): Act[] =>
      isAttached ? [] : [{ kind: "attach-volume", slot, volume: found?.name ?? wanted.image, serial: wanted.name }],
    ),
  ];
}

/** Snapshots of ours beyond what the volume keeps, the one that is about to be taken counted; never one a way back needs. */
function trimming({ volumes, snapshots }: Look, taken: readonly Act[], needed: string | undefined): Act[] {
  return volumes.flatMap(({ wanted, found }): Act[] => {
    if (!found) return [];
    const ours = (snapshots[found.name] ?? [])
      .flatMap((name) => (parseSnapshotName(name) ? [name] : []))
      .sort((a, b) => (parseSnapshotName(a)!.stamp < parseSnapshotName(b)!.stamp ? -1 : 1));
    const fresh = taken.filter((act) => act.kind === "snapshot" && act.volume === found.name).length;
    const surplus = ours
      .slice(0, Math.max(0, ours.length + fresh - wanted.keepSnapshots))
      .filter((name) => name !== needed);
    return surplus.length > 0 ? [{ kind: "trim", volume: found.name, snapshots: surplus }] : [];
  });
}
