import { failure } from "../base/error.ts";
import type { DesiredCentre } from "./desired.ts";
import { chooseGeneration, generationsOf } from "./generations.ts";
import { lookAt } from "./look.ts";
import type { Observation } from "./observe.ts";
import { type Plan, type PlanOptions, planDeployment, type RollBackTarget } from "./plan.ts";

export interface RollBackOptions extends Omit<PlanOptions, "targets" | "only" | "goal"> {
  readonly paths: readonly string[];
  /** Number or stamp of a generation; the one before the current unless said. */
  readonly to?: string;
  /** Volumes, too, get the contents that the generation left. */
  readonly withState?: boolean;
}

/**
 * A plan back to older roots: the same kind of plan as a deployment's, for the same executor.
 * @param observation with all snapshots
 * @throws MesoError `no-generation`, or `no-state` when a volume has no snapshot from then.
 */
export function planRollBack(desired: DesiredCentre, observation: Observation, options: RollBackOptions): Plan {
  const { paths, to, withState = false, ...others } = options;
  const targets: Record<string, RollBackTarget> = {};
  for (const path of paths) {
    const machine = desired.machines.find((one) => one.path === path);
    if (!machine) throw failure("no-machine", `the centre has no machine ${path}`);
    const look = lookAt(observation, machine);
    const back = look.open.find(({ root }) => root === look.current)?.intent.from;
    const generation = chooseGeneration(generationsOf(observation, machine), path, to, back);
    const missing = look.volumes.filter(({ found }) => found && generation.state[found.name] === undefined);
    if (withState && missing.length > 0) {
      const names = missing.map(({ wanted }) => wanted.name).join(", ");
      throw failure("no-state", `volume ${names} of ${path} has no snapshot from when ${generation.root} was left`, {
        hint: "meso generations shows what there is; without --with-state the volumes stay as they are",
      });
    }
    targets[path] = { root: generation.root, restore: withState ? generation.state : {} };
  }
  return planDeployment(desired, observation, { ...others, targets });
}
