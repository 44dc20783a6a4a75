import { failure } from "../base/error.ts";
import type { SourceLocation } from "../base/location.ts";
import { callerLocation } from "../base/location.ts";
import type { InputOf } from "./record.ts";
import { changed, describe, factsOf } from "./record.ts";

/**
 * Changes as a function returns them. Unlike for a literal, TypeScript accepts unknown fields in what a function
 * returns, so they are made impossible here.
 */
type Only<Changes, Known> = Changes & Partial<Known> & { readonly [K in Exclude<keyof Changes, keyof Known>]: never };

/**
 * A new record like `record` but for `changes`, which may be a function of the old one. What was never written is
 * worked out again: a user's home follows a changed name. Mistakes are reported where the field was written, here or further up.
 *
 * @throws MesoError `not-a-record` when `record` did not come from one of the constructors.
 */
export function inherit<R extends object, Changes extends object>(
  record: R,
  changes: Partial<InputOf<R>> | ((old: R) => Only<Changes, InputOf<R>>),
): R {
  const change = typeof changes === "function" ? (changes as (old: R) => object) : () => changes;
  return inheritAt(record, change, callerLocation(inherit));
}

/** The same as if `inherit` had been called at `where`: for functions that change records for others. */
export function inheritAt<R extends object>(
  record: R,
  changes: (old: R) => object,
  where: SourceLocation | undefined,
): R {
  if (!factsOf(record)?.rebuild) {
    throw failure("not-a-record", `inherit() was given ${describe(record)}`, {
      ...(where && { where }),
      expected: "a record made by operatingSystem(), fileSystem() and the like",
      hint: "a spread copy ({ ...record }) is no longer a record: use inherit() for it too",
    });
  }
  return changed(record, changes(record), where);
}

/** The value after each function in turn: `pipe(base, withIpvs(), withKeepalived({ … }))`. */
export function pipe<T>(value: T, ...steps: readonly ((value: T) => T)[]): T {
  return steps.reduce((result, step) => step(result), value);
}
