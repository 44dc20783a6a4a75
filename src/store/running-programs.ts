import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

/**
 * Base names of the items that running processes use: as program, library, open file, working directory or in their
 * environment, as far as this person may look (proc(5)). Whoever starts a program of the store need not know of leases.
 *
 * @param prefixes of item paths: where the store lies, and what it is called.
 */
export function itemsOfRunningPrograms(prefixes: readonly string[], proc = "/proc"): ReadonlySet<string> {
  const pattern = new RegExp(
    `(?:${prefixes.map(escaped).join("|")})/([0-9a-df-np-sv-z]{32}-[0-9A-Za-z+\\-._?=]+)`,
    "g",
  );
  const found = new Set<string>();
  const look = (text: string): void => {
    for (const [, name] of text.matchAll(pattern)) found.add(name!);
  };
  const own = String(process.pid);
  for (const pid of readdirSync(proc)) {
    if (!/^\d+$/.test(pid)) continue;
    const inside = (name: string): string => join(proc, pid, name);
    for (const link of ["exe", "cwd", "root"]) look(orNothing(() => readlinkSync(inside(link))));
    for (const file of ["maps", "mountinfo", ...(pid === own ? [] : ["environ"])]) {
      look(orNothing(() => readFileSync(inside(file), "latin1")));
    }
    for (const number of orNothing(() => readdirSync(inside("fd")).join(" ")).split(" ")) {
      look(orNothing(() => readlinkSync(inside(join("fd", number)))));
    }
  }
  return found;
}

/** A process may end, or be another person's. */
function orNothing(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
