import { failure, type MesoError } from "../../base/error.ts";

/** What Ceph answered instead of doing it: a number of errno(3), the one thing of its answers that is stable. */
export class CephRefusal extends Error {
  readonly errno: number;

  constructor(errno: number, what: string) {
    super(what);
    this.errno = errno;
  }
}

/** Numbers of errno(3) on Linux that Ceph answers with, by what they mean to us. */
export const errnos = {
  notPermitted: 1,
  missing: 2,
  denied: 13,
  busy: 16,
  exists: 17,
  invalid: 22,
  noSpace: 28,
  lockOwnerAlive: 30,
  notEmpty: 39,
  cutStream: 74,
  notConnected: 107,
  blocklisted: 108,
  timedOut: 110,
  quotaExceeded: 122,
} as const;

export function isRefusal(error: unknown, ...numbers: readonly number[]): boolean {
  return error instanceof CephRefusal && numbers.includes(error.errno);
}

/** A refusal in the closed set of errors that pools have; everything else as it is. `name` is the image in question. */
export function explained(error: unknown, title: string, name: string): unknown {
  if (!(error instanceof CephRefusal)) return error;
  return explainedNumber(error, title, name);
}

function explainedNumber(error: CephRefusal, title: string, name: string): MesoError {
  switch (error.errno) {
    case errnos.missing:
      return failure("no-image", `${name} is not in ${title}`, {}, error);
    case errnos.exists:
      return failure("image-exists", `${name} is in ${title} already`, {}, error);
    case errnos.busy:
    case errnos.lockOwnerAlive:
      return failure("image-in-use", `somebody has ${name} open`, { hint: "stop what uses it, then run again" }, error);
    case errnos.notEmpty:
      return failure("image-has-children", `others are clones of ${name}`, { hint: "remove them first" }, error);
    case errnos.notPermitted:
    case errnos.denied:
      return failure("pool-forbidden", `${title}: the user may not do this: ${error.message}`, {
        hint: "docs/pools.md lists the rights that each user of a pool needs",
      });
    case errnos.noSpace:
    case errnos.quotaExceeded:
      return failure("pool-full", `${title} is full`, { hint: "meso prune, or a larger quota" }, error);
    default:
      return unreachable(title, error.message);
  }
}

export function unreachable(title: string, why: string): MesoError {
  return failure("pool-unreachable", `${title}: ${why}`, {
    hint: "`ceph --status` with the same user and configuration shows whether the cluster answers",
  });
}
