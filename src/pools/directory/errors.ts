import { failure, MesoError } from "../../base/error.ts";

/** What a file system or a tool refused, in the words of pools; everything else as it is. */
export function explained(error: unknown, folder: string): unknown {
  const code = systemCode(error);
  const what = `the pool ${folder}: ${(error as Error).message}`;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return failure(
      "pool-full",
      what,
      { hint: "make room, then run again: meso prune gives back what is not needed" },
      error,
    );
  }
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    return failure("pool-forbidden", what, { expected: "a folder that you may write" }, error);
  }
  if (code === "EIO" || code === "ESTALE" || code === "ETIMEDOUT") return failure("pool-unreachable", what, {}, error);
  if (error instanceof MesoError && error.code === "store-busy") {
    return failure("pool-unreachable", `another process keeps the pool ${folder} busy`, { hint: "run again" }, error);
  }
  return error;
}

/** `writeRaw` has wrapped it once already. */
function systemCode(error: unknown): string | undefined {
  const cause = error instanceof MesoError && error.code === "cannot-write" ? error.cause : error;
  return (cause as NodeJS.ErrnoException | undefined)?.code;
}
