import { hashOf } from "../base/hash.ts";
import type { ImageName } from "../pools/pool.ts";
import type { DeployLimits, DesiredCentre, DesiredMachine } from "./desired.ts";
import type { Basis, Observation } from "./observe.ts";
import { planMachine } from "./plan-machine.ts";
import { orderOf, waitsOf } from "./plan-order.ts";
import type { Step } from "./steps.ts";

/** How far a deployment goes. */
export type DeployGoal = "publish" | "verify" | "promote" | "deploy";

export interface PlanOptions {
  /** Seconds since 1970: gives new images their stamps. */
  readonly now: number;
  readonly goal?: DeployGoal;
  /** Paths; all machines unless said. */
  readonly only?: readonly string[];
  /** Who answers for promoting without a passing verdict. */
  readonly force?: string;
  /** When one machine of a wave fails: it alone goes back, or the whole wave. */
  readonly takeBack?: "machine" | "wave";
  /** Path → root to go back to, instead of what the program says. */
  readonly targets?: Readonly<Record<string, RollBackTarget>>;
  /** Seconds that steps take. Default: `usualDurations`. */
  readonly durations?: Durations;
}

export interface RollBackTarget {
  readonly root: ImageName;
  /** Volume → snapshot that its contents are brought back to. */
  readonly restore: Readonly<Record<ImageName, string>>;
}

export type Durations = Readonly<Partial<Record<Step["kind"], number>>>;

/**
 * What a deployment will do, decided: immutable, and named by its hash. The executor makes no choices. Secrets are no
 * part of it: drivers look them up themselves.
 */
export interface Plan {
  readonly formatVersion: 1;
  /** SHA-256 of everything below but what others attach to it. */
  readonly hash: string;
  /** Of the observation that it rests on. */
  readonly observation: string;
  readonly centre: string;
  readonly kind: "deploy" | "roll-back";
  readonly goal: DeployGoal;
  readonly force?: string;
  readonly takeBack: "machine" | "wave";
  readonly limits: DeployLimits;
  /** Sorted by path. */
  readonly machines: readonly MachinePlan[];
  /** Paths of machines with steps: waves in turn, machines of one in the order they are begun. */
  readonly waves: readonly { readonly wave: number; readonly machines: readonly string[] }[];
}

export type MachineAction =
  /** As the program says. */
  | "none"
  | "create"
  | "swap"
  /** Same root, other cores, memory or nics. */
  | "reshape"
  /** Off, or crashed, with the right root. */
  | "start"
  /** Ends what a killed deployment began. */
  | "finish"
  /** Ends the way back that a killed deployment had begun. */
  | "take-back"
  | "roll-back"
  /** Images only: the goal is less than a deployment. */
  | "prepare"
  /** Its root is not ours; nothing is done unless it is adopted. */
  | "foreign"
  /** Something has to be done by a person first. */
  | "blocked";

export interface MachinePlan {
  readonly path: string;
  readonly machine: DesiredMachine;
  readonly action: MachineAction;
  readonly from?: RootSummary;
  readonly to?: RootSummary;
  /** Why, in words. */
  readonly reasons: readonly string[];
  /** What it waits for before it is taken down, in words. */
  readonly waits: readonly string[];
  /** What else a person should know. */
  readonly remarks: readonly string[];
  readonly steps: readonly Step[];
  /** Done instead of the rest when a step fails after the machine was touched; each step looks whether it is needed. */
  readonly wayBack: readonly Step[];
  readonly volumes: readonly VolumePlan[];
  /** Seconds without the machine, expected. */
  readonly outageSeconds: number;
  readonly basis: Basis;
}

export interface RootSummary {
  readonly image: ImageName;
  readonly stamp?: string;
  readonly systemHash?: string;
  readonly imageHash?: string;
}

export interface VolumePlan {
  readonly name: string;
  readonly image: ImageName;
  readonly slot: string;
  readonly isNew: boolean;
  /** Taken before the swap. */
  readonly snapshot?: string;
  /** Its contents are brought back to this. */
  readonly restored?: string;
  readonly onRollBack: "keep" | "restore";
}

/** Decides everything: a pure function of what is wanted, what was seen, and the options. */
export function planDeployment(desired: DesiredCentre, observation: Observation, options: PlanOptions): Plan {
  const { goal = "deploy", only, takeBack = "machine", force, targets } = options;
  const chosen = desired.machines.filter(({ path }) =>
    targets ? Object.hasOwn(targets, path) : (only?.includes(path) ?? true),
  );
  const planned = chosen.map((machine) =>
    planMachine({ desired, observation, options: { ...options, goal } }, machine),
  );
  const waves = orderOf(planned);
  const content = {
    formatVersion: 1 as const,
    observation: observation.hash,
    centre: desired.name,
    kind: targets ? ("roll-back" as const) : ("deploy" as const),
    goal,
    ...(force !== undefined && { force }),
    takeBack,
    limits: desired.limits,
    machines: planned.map((one) => ({ ...one, waits: waitsOf(one, planned, desired.limits, observation) })),
    waves,
  };
  return frozen({ hash: hashOf(content), ...content });
}

/** Machines that the plan does something to. */
export function changingMachines({ machines }: Plan): readonly MachinePlan[] {
  return machines.filter(({ steps }) => steps.length > 0);
}

function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const member of Object.values(value)) frozen(member);
  }
  return value;
}
