import { formatBytes } from "../base/progress.ts";
import type { ImageName } from "../pools/pool.ts";
import type { SwapIntent } from "./intent.ts";

/** What a step does; its parameters are everything it needs beside the machine's own record. */
export type Act =
  | { readonly kind: "publish"; readonly image: ImageName }
  | { readonly kind: "clone"; readonly image: ImageName; readonly candidate: ImageName }
  | { readonly kind: "verify"; readonly candidate: ImageName; readonly volumes: readonly TrialVolume[] }
  | { readonly kind: "promote"; readonly candidate: ImageName; readonly root: ImageName; readonly intent: SwapIntent }
  | { readonly kind: "mark"; readonly root: ImageName; readonly intent: SwapIntent }
  | { readonly kind: "drain" }
  | { readonly kind: "power-off" }
  | { readonly kind: "snapshot"; readonly volume: ImageName; readonly snapshot: string }
  | { readonly kind: "restore"; readonly volume: ImageName; readonly snapshot: string }
  | { readonly kind: "create-volume"; readonly volume: ImageName; readonly name: string; readonly size: number }
  /** `shape` as it is written on a root: the older one on a way back. */
  | { readonly kind: "define"; readonly shape: string }
  | { readonly kind: "attach-root"; readonly slot: string; readonly root: ImageName }
  | { readonly kind: "attach-volume"; readonly slot: string; readonly volume: ImageName; readonly serial: string }
  | { readonly kind: "power-on" }
  | { readonly kind: "check" }
  | { readonly kind: "undrain" }
  | {
      readonly kind: "confirm";
      readonly root: ImageName;
      /** What it has proved to work with, where that is known. */
      readonly shape?: string;
      /** Other roots of the machine, on which an earlier swap is still noted as open. */
      readonly settles: readonly ImageName[];
    }
  | { readonly kind: "trim"; readonly volume: ImageName; readonly snapshots: readonly string[] };

export interface TrialVolume {
  readonly name: string;
  readonly volume: ImageName;
  readonly trial: ImageName;
  /** Taken for the trial, and removed after it. */
  readonly snapshot: string;
}

export type StepKind = Act["kind"];

/** A step as a plan shows it. Each first looks whether what it ensures holds already. */
export type Step = Act & {
  readonly text: string;
  /** What must hold before, and what holds after it. */
  readonly requires: string;
  readonly ensures: string;
};

/** Steps that touch images only: a machine runs on while they are done. */
export const imageSteps: ReadonlySet<StepKind> = new Set(["publish", "clone", "verify", "promote"]);

export function step(act: Act): Step {
  return { ...act, ...words(act) };
}

type Words = Pick<Step, "text" | "requires" | "ensures">;

function words(act: Act): Words {
  switch (act.kind) {
    case "publish":
      return says(`publish ${act.image}`, "the name is free", "the image is whole in the pool");
    case "clone":
      return says(`clone ${act.image} as ${act.candidate}`, "the image is whole", "the candidate is its copy");
    case "verify":
      return says(`try ${act.candidate}`, "the candidate is in no machine", "a verdict is written on it");
    case "promote":
      return says(`promote to ${act.root}`, "a passing verdict, or force", "the root bears its name and the way back");
    case "mark":
      return says(`mark ${act.root}`, "the root is in the pool", "the way back is written on it");
    case "drain":
      return says("drain", "the machines that the hooks run on are up", "nobody relies on the machine");
    case "power-off":
      return says("shut down", "its group has enough others", "no process, and nobody has its disks open");
    case "snapshot":
      return says(`snapshot ${act.volume} as ${act.snapshot}`, "the machine is off", "its contents can be had back");
    case "restore":
      return says(`restore ${act.volume} to ${act.snapshot}`, "the machine is off", "the contents are the older ones");
    case "create-volume":
      return says(`make ${act.volume}, ${formatBytes(act.size)}`, "no image of that name", "an empty disk");
    case "define":
      return says("define cores, memory and nics", "the machine is off or new", "it is defined as the program says");
    case "attach-root":
      return says(
        `attach ${act.root} as ${act.slot}`,
        "the machine is off and its configuration as last seen",
        "the slot holds the root, all else as before",
      );
    case "attach-volume":
      return says(
        `attach ${act.volume} as ${act.slot}`,
        "the machine is off and the slot free",
        "the slot holds the volume",
      );
    case "power-on":
      return says("start", "a root is attached", "the machine runs");
    case "check":
      return says("check", "the machine runs", "the agent answers and every check passes");
    case "undrain":
      return says("undrain", "the machine works", "others rely on it again");
    case "confirm":
      return says(`confirm ${act.root}`, "every check has passed", "no swap is open");
    case "trim":
      return says(
        `remove ${act.snapshots.length} old snapshots of ${act.volume}`,
        "newer ones exist",
        "as many are kept as the volume says",
      );
  }
}

function says(text: string, requires: string, ensures: string): Words {
  return { text, requires, ensures };
}
