import type { DeployLimits } from "./desired.ts";
import type { Observation } from "./observe.ts";
import type { MachinePlan, Plan } from "./plan.ts";
import { imageSteps } from "./steps.ts";

/** Lower waves first; within one, machines that are down already (nobody misses them), then by path. */
export function orderOf(machines: readonly MachinePlan[]): Plan["waves"] {
  const changing = machines.filter(({ steps }) => steps.length > 0);
  const waves = [...new Set(changing.map(({ machine }) => machine.wave))].sort((a, b) => a - b);
  return waves.map((wave) => {
    const members = changing.filter(({ machine }) => machine.wave === wave);
    const down = members.filter(isDown);
    return { wave, machines: [...down, ...members.filter((one) => !isDown(one))].map(({ path }) => path) };
  });
}

/** What a machine will wait for, in words. */
export function waitsOf(
  plan: MachinePlan,
  all: readonly MachinePlan[],
  limits: DeployLimits,
  observation: Observation,
): readonly string[] {
  if (!takesDown(plan)) return [];
  const others = all.filter((one) => one !== plan && takesDown(one));
  const earlier = others.filter(({ machine }) => machine.wave < plan.machine.wave);
  const group = plan.machine.group === undefined ? undefined : limits.groups[plan.machine.group];
  const peers = others.filter(
    ({ path, machine }) => machine.wave === plan.machine.wave && group?.members.some((member) => member.path === path),
  );
  const down = (group?.members ?? []).filter(
    ({ path }) => path !== plan.path && observation.machines[path] && observation.machines[path].power !== "on",
  );
  const hosts = [...new Set(plan.machine.drain.map(({ on }) => on))].filter((on) =>
    others.some(({ path }) => path === on),
  );
  return [
    ...(earlier.length > 0 ? [`for the waves before: ${names(earlier.map(({ path }) => path))}`] : []),
    ...(group && peers.length >= group.mayBeDown
      ? [`for its peers, ${group.mayBeDown} of which may be down: ${names(peers.map(({ path }) => path))}`]
      : []),
    ...(down.length > 0 && !isDown(plan) ? [`for ${names(down.map(({ path }) => path))}, down already`] : []),
    ...(hosts.length > 0 ? [`until ${names(hosts)} can drain it`] : []),
  ];
}

/** Whether its steps touch the machine, not only its images. */
export function takesDown({ steps }: MachinePlan): boolean {
  return steps.some(({ kind }) => !imageSteps.has(kind));
}

export function isDown({ basis }: MachinePlan): boolean {
  return basis.power !== "on";
}

function names(paths: readonly string[]): string {
  return paths.length > 6 ? `${paths.slice(0, 5).join(", ")} and ${paths.length - 5} others` : paths.join(", ");
}
