import { writeFileSync } from "node:fs";
import { constants, setPriority } from "node:os";

/**
 * Makes a process leave the processors to whoever else wants them; it was spawned `detached`, so it leads a session.
 * Where the kernel shares processors out among sessions first, the niceness of a process counts only within its session,
 * which has one of its own (sched(7), "The autogroup feature").
 */
export function giveWay(leader: number): void {
  setPriority(leader, constants.priority.PRIORITY_LOW);
  try {
    writeFileSync(`/proc/${leader}/autogroup`, String(constants.priority.PRIORITY_LOW));
  } catch {
    // A kernel without such groups, or asked too often just now: a matter of speed alone.
  }
}
