import { machineName } from "../language/centre.ts";
import type { ImageName } from "../pools/pool.ts";

/** Whose image it is: how names of roots and volumes begin. */
export interface ImageOwner {
  /** Path in the program: `slurm/ctld`. */
  readonly path: string;
  /** Proxmox VE attaches only what carries the machine's number; other hypervisors take such names too. */
  readonly vmid?: number;
}

/** What a name tells. It tells people; decisions rest on what is written on the image (`ImageAbout`). */
export type ParsedImageName =
  | { readonly kind: "published"; readonly machine: string; readonly stamp: string }
  | { readonly kind: "candidate"; readonly machine: string }
  | { readonly kind: "root"; readonly machine: string | number; readonly stamp: string };

/** `VMroot_slurm-ctld_202611251907`: what was published, never written to again. */
export function publishedName({ path }: ImageOwner, stamp: string): ImageName {
  return `VMroot_${machineName(path)}_${stamp}`;
}

/** `VMroot_slurm-ctld_candidate`: the clone of a published image that is on trial. */
export function candidateName({ path }: ImageOwner): ImageName {
  return `VMroot_${machineName(path)}_candidate`;
}

/** `vm-233-root-202611251907`, or `slurm-ctld-root-202611251907` for a machine without a number. */
export function rootName(owner: ImageOwner, stamp: string): ImageName {
  return `${prefix(owner)}-root-${stamp}`;
}

/** `vm-233-state`, or `slurm-ctld-state`. */
export function volumeImageName(owner: ImageOwner, volume: string): ImageName {
  return `${prefix(owner)}-${volume}`;
}

/** `vm-233-state-trial`: a volume's copy that a candidate is tried with. */
export function trialName(owner: ImageOwner, volume: string): ImageName {
  return `${volumeImageName(owner, volume)}-trial`;
}

/** Undefined for volumes, whose names do not tell where the machine's ends, and for whatever is not ours. */
export function parseImageName(name: ImageName): ParsedImageName | undefined {
  const image = /^VMroot_([a-z0-9]+(?:-+[a-z0-9]+)*)_(candidate|\d{12})$/.exec(name);
  if (image) {
    const [, machine, last] = image as unknown as [string, string, string];
    if (last === "candidate") return { kind: "candidate", machine };
    return isStamp(last) ? { kind: "published", machine, stamp: last } : undefined;
  }
  const root = /^([a-z0-9]+(?:-+[a-z0-9]+)*)-root-(\d{12})$/.exec(name);
  if (!root || !isStamp(root[2]!)) return undefined;
  const number = /^vm-([1-9]\d{2,8})$/.exec(root[1]!);
  return { kind: "root", machine: number ? Number(number[1]) : root[1]!, stamp: root[2]! };
}

/** Snapshot of a volume, taken while its machine is off: the system that was left, and when. */
export function leftSnapshotName(leftStamp: string, stamp: string): string {
  return `left-${leftStamp}-at-${stamp}`;
}

/** Snapshot of a volume as a system that failed its checks left it, before the older contents come back. */
export function failedSnapshotName(failedStamp: string, stamp: string): string {
  return `failed-${failedStamp}-at-${stamp}`;
}

export interface ParsedSnapshotName {
  readonly kind: "left" | "failed";
  /** Stamp of the root that had the volume until then. */
  readonly root: string;
  readonly stamp: string;
}

/** Undefined for snapshots that are not ours. */
export function parseSnapshotName(name: string): ParsedSnapshotName | undefined {
  const match = /^(left|failed)-(\d{12})-at-(\d{12})$/.exec(name);
  if (!match || !isStamp(match[2]!) || !isStamp(match[3]!)) return undefined;
  return { kind: match[1] as "left" | "failed", root: match[2]!, stamp: match[3]! };
}

/** `YYYYMMDDHHMM`, UTC, of seconds since 1970. */
export function stampOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 16).replaceAll(/\D/g, "");
}

/** Seconds since 1970. */
export function secondsOfStamp(stamp: string): number {
  const [, year, month, day, hour, minute] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(stamp) ?? [];
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:00Z`) / 1000;
}

/** Of a time that exists: there is no 31st of February. */
export function isStamp(text: string): boolean {
  return /^\d{12}$/.test(text) && Number.isFinite(secondsOfStamp(text)) && stampOf(secondsOfStamp(text)) === text;
}

/** The first free minute from `wished` on that is later than all of `taken`: order of stamps is order of events. */
export function freeStamp(wished: string, taken: Iterable<string>): string {
  let latest = "";
  for (const stamp of taken) if (stamp > latest) latest = stamp;
  return wished > latest ? wished : stampOf(secondsOfStamp(latest) + 60);
}

function prefix({ path, vmid }: ImageOwner): string {
  return vmid === undefined ? machineName(path) : `vm-${vmid}`;
}
