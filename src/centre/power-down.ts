import type { HypervisorDriver } from "../hypervisors/hypervisor.ts";
import type { DesiredMachine } from "./desired.ts";
import { reasonOf } from "./run.ts";

export interface PoweredDown {
  readonly path: string;
  /** Absent when it failed, or the machine is not there. */
  readonly how?: "graceful" | "forced" | "was-off";
  readonly trouble?: string;
}

export interface PowerDownOptions {
  readonly parallel: number;
  /** Also forgets the machine; its disks stay in the pool. */
  readonly forget: boolean;
  /** Asked before each machine. @throws when nothing may be changed any more. */
  readonly guard: () => void;
  readonly report: (path: string, text: string) => void;
}

/** Shuts machines down, later waves first: what others rely on goes last. One that fails stops no other. */
export async function powerDown(
  hypervisor: HypervisorDriver,
  machines: readonly DesiredMachine[],
  options: PowerDownOptions,
): Promise<readonly PoweredDown[]> {
  const waves = [...new Set(machines.map(({ wave }) => wave))].sort((a, b) => b - a);
  const all: PoweredDown[] = [];
  for (const wave of waves) {
    const members = machines.filter((machine) => machine.wave === wave);
    for (let at = 0; at < members.length; at += options.parallel) {
      const some = members.slice(at, at + options.parallel);
      all.push(...(await Promise.all(some.map((machine) => powerDownOne(hypervisor, machine, options)))));
    }
  }
  return all;
}

async function powerDownOne(
  hypervisor: HypervisorDriver,
  { path, id, shutdownSeconds, mayCutPower }: DesiredMachine,
  { forget, guard, report }: PowerDownOptions,
): Promise<PoweredDown> {
  try {
    if (!(await hypervisor.inspect(id))) return { path };
    guard();
    report(path, "shutting down");
    const how = await hypervisor.powerOff(id, { graceful: true, deadlineSeconds: shutdownSeconds, force: mayCutPower });
    if (forget) await hypervisor.remove(id);
    return { path, how };
  } catch (error) {
    return { path, trouble: reasonOf(error) };
  }
}
