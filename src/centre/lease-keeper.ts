import { failure, MesoError } from "../base/error.ts";
import type { Hands } from "./hands.ts";

/** The right to change things, held for as long as it is renewed. */
export interface LeaseKeeper {
  /** Asked before every change. @throws MesoError `lease-lost`: from then on nothing may be changed. */
  readonly guard: () => void;
  /** Gives it back, if it is still held. */
  readonly release: () => Promise<void>;
}

/** Seconds: long enough for a pool that stalls (Ceph's own watches take 30), short enough to wait for after a kill. */
export const leaseSeconds = 120;
const renewSeconds = 30;
const retrySeconds = 5;
/** A change that is begun takes a while to be done. */
const marginSeconds = 10;

/**
 * Takes the lease and renews it in the background.
 * @throws MesoError `lease-held` with holder, age and purpose.
 */
export async function takeLease(
  hands: Pick<Hands, "pool" | "clock" | "holder">,
  purpose: string,
): Promise<LeaseKeeper> {
  const { pool, clock, holder } = hands;
  const since = Math.floor(clock.now());
  const end = new AbortController();
  let expires = since + leaseSeconds;
  let takenBy: string | undefined;
  const take = async () => {
    // Counted from before the question: the pool may have heard it at once and answered late.
    const until = Math.floor(clock.now()) + leaseSeconds;
    await pool.takeLease({ holder, purpose, since, expires: until });
    expires = until;
  };
  const renew = async () => {
    for (let pause = renewSeconds; ; ) {
      await clock.sleep(pause, end.signal);
      if (end.signal.aborted || takenBy !== undefined) return;
      pause = renewSeconds;
      try {
        await take();
      } catch (error) {
        if (error instanceof MesoError && error.code === "lease-held") takenBy = error.problems[0]!.what;
        pause = retrySeconds;
      }
    }
  };
  await take();
  const renewing = renew();
  return {
    guard: () => {
      if (takenBy !== undefined) {
        throw failure("lease-lost", `another deployment has taken over: ${takenBy}`);
      }
      if (clock.now() >= expires - marginSeconds) {
        throw failure("lease-lost", "the lease could not be renewed in time: the pool does not answer");
      }
    },
    release: async () => {
      end.abort();
      await renewing;
      // One that is lost is somebody else's: giving it back says who we are, and is refused.
      if (takenBy === undefined) await pool.releaseLease(holder).catch(() => {});
    },
  };
}
