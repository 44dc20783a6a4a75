import type { Pool } from "../pool.ts";
import { directoryPool } from "./directory-pool.ts";

/** The pool of a test, from another process. */
export function openForTest(settings: unknown): Pool {
  return directoryPool(settings as string);
}
