import type { SystemAbout } from "../pools/about.ts";
import type { ImageName, Lease } from "../pools/pool.ts";
import type { DesiredCentre, DesiredMachine } from "./desired.ts";
import { isStamp, secondsOfStamp } from "./image-names.ts";
import type { JournalEntry } from "./journal.ts";
import { type Look, lookAt } from "./look.ts";
import type { Observation } from "./observe.ts";
import { foreignReason, obstacles, remarks } from "./obstacles.ts";

/** Running against declared. */
export interface CentreStatus {
  readonly machines: readonly MachineStatus[];
  /** Machines of the hypervisor that run a root of this centre and are not in its program. */
  readonly undeclared: readonly { readonly name: string; readonly root: ImageName; readonly machine: string }[];
  /** Images that belong to machines which the program does not have; copies that a killed trial left. */
  readonly leftovers: readonly ImageName[];
  readonly lease?: Lease;
  /** The last deployment that the journal knows: by whom, when, how it ended if it did. */
  readonly last?: { readonly by: string; readonly at: number; readonly result?: string };
}

export type Standing =
  /** Runs what the program says. */
  | "as-declared"
  /** Runs another system, or on another size. */
  | "drifted"
  | "absent"
  | "foreign"
  /** Declared to run, and off, crashed or paused. */
  | "down"
  /** A swap was begun and not ended. */
  | "unfinished";

export interface MachineStatus {
  readonly path: string;
  readonly standing: Standing;
  readonly power?: string;
  readonly node?: string;
  readonly root?: ImageName;
  readonly system?: SystemAbout;
  readonly declaredSystem: string;
  /** Seconds since the running root was published. */
  readonly ageSeconds?: number;
  /** The running root has no passing verdict, or was promoted by force. */
  readonly isUnverified: boolean;
  readonly forced?: string;
  /** A root that was promoted ahead and waits. */
  readonly staged?: ImageName;
  /** Packages for which the channel has newer versions, where somebody has counted. */
  readonly pendingUpdates?: number;
  /** In words: what is in the way, and what else should be known. */
  readonly notes: readonly string[];
}

export interface StatusOptions {
  /** Seconds since 1970. */
  readonly now: number;
  readonly journal?: readonly JournalEntry[];
  /** By path. */
  readonly pendingUpdates?: ReadonlyMap<string, number>;
}

/** A pure function of what was seen: takes no lease, changes nothing. */
export function statusOf(desired: DesiredCentre, observation: Observation, options: StatusOptions): CentreStatus {
  const { images, others, lease } = observation;
  const declared = new Set(desired.machines.map(({ path }) => path));
  const ofCentre = images.filter(({ about }) => about?.centre === desired.name);
  const last = options.journal?.at(-1);
  const end =
    last && options.journal?.findLast(({ plan, machine, result }) => plan === last.plan && !machine && result);
  return {
    machines: desired.machines.map((machine) => machineStatus(machine, observation, options)),
    undeclared: others.flatMap(({ id, slots }) => {
      const root = ofCentre.find(
        ({ name, about }) => about?.role === "root" && Object.values(slots).some(({ image }) => image === name),
      );
      return root?.about ? [{ name: id.name, root: root.name, machine: root.about.machine }] : [];
    }),
    leftovers: ofCentre
      .filter(({ about }) => about && (!declared.has(about.machine) || about.role === "trial"))
      .map(({ name }) => name),
    ...(lease && { lease }),
    ...(last && {
      last: { by: last.by, at: last.at, ...(end?.result !== undefined && { result: end.result }) },
    }),
  };
}

function machineStatus(machine: DesiredMachine, observation: Observation, options: StatusOptions): MachineStatus {
  const look = lookAt(observation, machine);
  const { current, state } = look;
  const foreign = foreignReason(look, observation);
  const about = current?.about;
  const staged = look.open.findLast(({ root, intent }) => intent.isStaged && root !== current)?.root.name;
  const pending = options.pendingUpdates?.get(machine.path);
  const published =
    about?.system?.publishedAt ?? (about && isStamp(about.stamp) ? secondsOfStamp(about.stamp) : undefined);
  return {
    path: machine.path,
    standing: standingOf(look, foreign !== undefined),
    ...(state && { power: state.power }),
    ...(state?.node !== undefined && { node: state.node }),
    ...(current && { root: current.name }),
    ...(about?.system && { system: about.system }),
    declaredSystem: machine.systemHash,
    ...(published !== undefined && { ageSeconds: Math.max(0, options.now - published) }),
    isUnverified: about !== undefined && (about.verdict?.passed !== true || about.forced !== undefined),
    ...(about?.forced !== undefined && { forced: about.forced }),
    ...(staged !== undefined && { staged }),
    ...(pending !== undefined && { pendingUpdates: pending }),
    notes: [...(foreign === undefined ? [] : [foreign]), ...obstacles(look, observation), ...remarks(look)],
  };
}

function standingOf({ machine, state, current, open }: Look, isForeign: boolean): Standing {
  if (!state) return "absent";
  if (isForeign) return "foreign";
  if (open.some(({ intent }) => !intent.isStaged)) return "unfinished";
  if (!current) return "absent";
  if (state.power !== "on") return "down";
  const isSame = current.about.system?.systemHash === machine.systemHash && current.size === machine.diskSize;
  const isShaped = current.about.shape === undefined || current.about.shape === machine.shape;
  return isSame && isShaped ? "as-declared" : "drifted";
}
