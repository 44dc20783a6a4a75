import type { ImageName } from "../pools/pool.ts";
import { parseSnapshotName } from "./image-names.ts";

/**
 * Written on a promoted root before its machine is touched, taken away when the machine has passed its checks: whoever
 * finds it knows that a swap was begun and not ended, and the way back.
 */
export interface SwapIntent {
  /** The last root that was known to work; absent when the machine had none. */
  readonly from?: ImageName;
  /** Snapshot of the volumes from before this root was first started, as long as one was taken. */
  readonly snapshot?: string;
  /**
   * Volumes that get older contents whatever becomes of them otherwise, as on a way back with state: each with the
   * snapshot of what it held until then.
   */
  readonly restored?: Readonly<Record<ImageName, string>>;
  /** Promoted ahead of time, and its machine not touched yet. */
  readonly isStaged?: boolean;
  /** Its checks failed: the machine is on its way back to `from`. */
  readonly isGoingBack?: boolean;
}

export function printIntent({ from, snapshot, restored, isStaged, isGoingBack }: SwapIntent): string {
  return JSON.stringify({
    ...(from !== undefined && { from }),
    ...(snapshot !== undefined && { snapshot }),
    ...(restored !== undefined && { restored }),
    ...(isStaged && { isStaged }),
    ...(isGoingBack && { isGoingBack }),
  });
}

/** Undefined for what this program has not written. */
export function parseIntent(text: string): SwapIntent | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const { from, snapshot, restored, isStaged, isGoingBack, ...unknown } = value as Record<string, unknown>;
  const isRight =
    Object.keys(unknown).length === 0 &&
    (from === undefined || isImageName(from)) &&
    (snapshot === undefined || isSnapshotName(snapshot)) &&
    (restored === undefined || isRestored(restored)) &&
    [isStaged, isGoingBack].every((flag) => flag === undefined || flag === true);
  return isRight ? (value as SwapIntent) : undefined;
}

function isImageName(value: unknown): boolean {
  return typeof value === "string" && /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/.test(value);
}

function isSnapshotName(value: unknown): boolean {
  return typeof value === "string" && parseSnapshotName(value) !== undefined;
}

function isRestored(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.entries(value).every(([volume, snapshot]) => isImageName(volume) && isSnapshotName(snapshot));
}
