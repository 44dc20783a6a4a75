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
  /** Promoted ahead of time, and its machine not touched yet. */
  readonly isStaged?: boolean;
  /** Its checks failed: the machine is on its way back to `from`. */
  readonly isGoingBack?: boolean;
}

export function printIntent({ from, snapshot, isStaged, isGoingBack }: SwapIntent): string {
  return JSON.stringify({
    ...(from !== undefined && { from }),
    ...(snapshot !== undefined && { snapshot }),
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
  const { from, snapshot, isStaged, isGoingBack, ...unknown } = value as Record<string, unknown>;
  const isRight =
    Object.keys(unknown).length === 0 &&
    (from === undefined || (typeof from === "string" && /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/.test(from))) &&
    (snapshot === undefined || (typeof snapshot === "string" && parseSnapshotName(snapshot) !== undefined)) &&
    [isStaged, isGoingBack].every((flag) => flag === undefined || flag === true);
  return isRight ? (value as SwapIntent) : undefined;
}
