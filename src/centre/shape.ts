import { canonicalJson } from "../base/canonical.ts";
import type { MachineSpec } from "../hypervisors/hypervisor.ts";

/** What of a machine's definition a change needs it to be off for. A machine may move to another node by itself. */
export type Shape = Omit<MachineSpec, "id" | "description" | "node">;

/** One spelling for each shape: written on a root that works with it, so that the way back knows it. */
export function printShape({ architecture, cores, memoryMebibytes, firmware, nics }: Shape): string {
  return canonicalJson({ architecture, cores, memoryMebibytes, firmware, nics });
}

/** Undefined for what `printShape` has not written. */
export function parseShape(text: string): Shape | undefined {
  try {
    const shape = JSON.parse(text) as Shape;
    const isRight =
      typeof shape.architecture === "string" &&
      isCount(shape.cores) &&
      isCount(shape.memoryMebibytes) &&
      (shape.firmware === "bios" || shape.firmware === "uefi") &&
      Array.isArray(shape.nics) &&
      shape.nics.every(isNic) &&
      printShape(shape) === text;
    return isRight ? shape : undefined;
  } catch {
    return undefined;
  }
}

/** What differs, in words: `2 cores instead of 1`. */
export function shapeDifferences(then: Shape, now: Shape): readonly string[] {
  const differs = (key: keyof Shape) => canonicalJson(then[key]) !== canonicalJson(now[key]);
  return [
    ...(differs("cores") ? [`${now.cores} cores instead of ${then.cores}`] : []),
    ...(differs("memoryMebibytes") ? [`${now.memoryMebibytes} MiB of memory instead of ${then.memoryMebibytes}`] : []),
    ...(differs("firmware") ? [`firmware ${now.firmware} instead of ${then.firmware}`] : []),
    ...(differs("architecture") ? [`architecture ${now.architecture} instead of ${then.architecture}`] : []),
    ...(differs("nics") ? ["other nics"] : []),
  ];
}

function isCount(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) > 0;
}

function isNic(nic: unknown): boolean {
  if (typeof nic !== "object" || nic === null) return false;
  const { network, mac, tag, forwards } = nic as Record<string, unknown>;
  return (
    typeof network === "string" &&
    typeof mac === "string" &&
    (tag === undefined || isCount(tag)) &&
    (forwards === undefined || (typeof forwards === "object" && Object.values(forwards ?? {}).every(isCount)))
  );
}
