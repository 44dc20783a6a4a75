/**
 * The value that an earlier run computed for the same `key` (any plain data, which must name everything that the
 * value depends on, contents by their digests), or else what `compute` gives. Values go through JSON.
 */
export type Remember = <T>(key: unknown, compute: () => T | Promise<T>) => Promise<T>;
