import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { removeTree } from "./remove-tree.ts";

/**
 * Who made a lock or a temporary folder, as text without slashes: boot, process namespace, process number and
 * the process's start time. Start times tell a process from a later one with the same number.
 */
export function ownerTag(): string {
  tag ??= [bootId(), processNamespace(), process.pid, startTime(process.pid) ?? "0"].join("-");
  return tag;
}

let tag: string | undefined;

/** An owner in another container or machine cannot be looked at: its things count as left behind after this. */
const foreignOwnerPatienceMilliseconds = 10 * 60 * 1000;

/** Whether the owner is certainly gone. `ageMilliseconds` is the age of what it left, used when nothing else can tell. */
export function ownerIsGone(owner: string, ageMilliseconds: number): boolean {
  const [boot, namespace, pid, started] = owner.split("-");
  if (boot !== bootId() || namespace !== processNamespace()) return ageMilliseconds > foreignOwnerPatienceMilliseconds;
  return startTime(Number(pid)) !== started;
}

/**
 * Removes what processes that are gone left in `folder` under names `<prefix><owner's tag>.<anything>`; whatever else
 * is there is not touched. Costs one directory listing when there is nothing.
 *
 * @param isKnownAlive whether something else tells that an owner lives, who may be in another container.
 */
export function sweepAbandoned(
  folder: string,
  prefix = "",
  isKnownAlive: (owner: string) => boolean = () => false,
): void {
  for (const name of readdirSync(folder)) {
    const owner = name.startsWith(prefix) && taggedName.exec(name.slice(prefix.length))?.[1];
    if (!owner) continue;
    const path = join(folder, name);
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0);
    if (ownerIsGone(owner, age) && !isKnownAlive(owner)) removeTree(path);
  }
}

const taggedName = /^([0-9a-f]{8}-\d+-\d+-\d+)\./;

/** Process number in an owner's tag, for messages. */
export function ownerProcess(owner: string): string {
  return owner.split("-")[2] ?? "?";
}

/** Field 22 of /proc/PID/stat (proc(5)), in ticks since boot; undefined when there is no such running process. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The second field, the command, may hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

let boot: string | undefined;
function bootId(): string {
  boot ??= readFileSync("/proc/sys/kernel/random/boot_id", "latin1").slice(0, 8);
  return boot;
}

let namespaceNumber: string | undefined;
function processNamespace(): string {
  namespaceNumber ??= readlinkSync("/proc/self/ns/pid").replace(/\D/g, "");
  return namespaceNumber;
}
