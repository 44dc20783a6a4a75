import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

export const lockName = "meso.lock";

/**
 * The lock of a program: the nearest `meso.lock` in the program's folder or above it, up to the root of its git
 * checkout; where there is none, the place in the program's own folder where the first one will be written.
 */
export function lockPlace(programFile: string): string {
  const folder = dirname(resolve(programFile));
  for (let current = folder; ; current = dirname(current)) {
    const candidate = join(current, lockName);
    if (existsSync(candidate)) return candidate;
    if (existsSync(join(current, ".git")) || dirname(current) === current) return join(folder, lockName);
  }
}
