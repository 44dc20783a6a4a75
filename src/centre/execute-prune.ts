import type { DesiredCentre } from "./desired.ts";
import type { Hands } from "./hands.ts";
import { type LeaseKeeper, takeLease } from "./lease-keeper.ts";
import { observe } from "./observe.ts";
import { type PrunePlan, planPrune, type Removal } from "./prune.ts";
import { reasonOf } from "./run.ts";

export type PruneHands = Pick<Hands, "pool" | "hypervisor" | "clock" | "holder" | "signal">;

export interface PruneOutcome {
  readonly result: "done" | "nothing-to-do" | "partly-done" | "refused";
  readonly reasons: readonly string[];
  readonly removed: readonly Removal[];
  readonly left: readonly { readonly removal: Removal; readonly why: string }[];
  /** What killed publications had left. */
  readonly swept: readonly string[];
}

/** Removes exactly what the plan says, unless something else would be removed now. May be killed and run again. */
export async function executePrune(plan: PrunePlan, desired: DesiredCentre, hands: PruneHands): Promise<PruneOutcome> {
  const refused = (reason: string): PruneOutcome => ({
    ...{ result: "refused", reasons: [reason], removed: [], left: [], swept: [] },
  });
  let lease: LeaseKeeper;
  try {
    lease = await takeLease(hands, `prune ${plan.hash.slice(0, 12)}`);
  } catch (error) {
    return refused(reasonOf(error));
  }
  try {
    const observation = await observe(hands.pool, hands.hypervisor, desired, { allSnapshots: true });
    const again = planPrune(desired, observation, await hands.pool.documents());
    if (again.hash !== plan.hash) return refused("pool or machines have changed since the plan was made");
    return await removeAll(plan, hands, lease);
  } catch (error) {
    return refused(reasonOf(error));
  } finally {
    await lease.release();
  }
}

async function removeAll(plan: PrunePlan, hands: PruneHands, lease: LeaseKeeper): Promise<PruneOutcome> {
  const removed: Removal[] = [];
  const left: PruneOutcome["left"][number][] = [];
  for (const removal of plan.removals) {
    if (hands.signal.aborted) {
      left.push({ removal, why: "interrupted" });
      continue;
    }
    try {
      lease.guard();
      await remove(hands, removal);
      removed.push(removal);
    } catch (error) {
      left.push({ removal, why: reasonOf(error) });
    }
  }
  let swept: readonly string[] = [];
  const reasons: string[] = [];
  try {
    lease.guard();
    swept = await hands.pool.sweep();
  } catch (error) {
    reasons.push(`what killed publications have left could not be swept: ${reasonOf(error)}`);
  }
  const isNothing = plan.removals.length === 0 && swept.length === 0;
  const isWhole = left.length === 0 && reasons.length === 0;
  return { result: !isWhole ? "partly-done" : isNothing ? "nothing-to-do" : "done", reasons, removed, left, swept };
}

async function remove({ pool, hypervisor }: PruneHands, { kind, name, volume }: Removal): Promise<void> {
  if (kind === "image") {
    await hypervisor.discard?.(pool.disk(name));
    return pool.remove(name);
  }
  if (kind === "document") return pool.removeDocument(name);
  return pool.removeSnapshot(volume!, name);
}
