import { chmodSync, lstatSync, lutimesSync, readdirSync, type Stats } from "node:fs";
import { join } from "node:path";
import { failure } from "../base/error.ts";

/** Seconds since 1970: the time of everything in an item. */
const itemTime = 1;

/**
 * Makes a tree what an item's archive can say: read-only, executable or not, every time 1. The outermost folder stays
 * writable, since it could not be moved otherwise: `sealItem` closes it where it lies for good.
 *
 * @throws MesoError `bad-output` for setuid and setgid files, sockets, pipes, devices, and names that are not UTF-8.
 */
export function canonicaliseItem(path: string): void {
  canonicalise(path, statusOf(path));
  if (lstatSync(path).isDirectory()) chmodSync(path, 0o755);
}

/** What an item's outermost folder needs once it is in its place. */
export function sealItem(path: string): void {
  if (lstatSync(path).isDirectory()) chmodSync(path, 0o555);
  lutimesSync(path, itemTime, itemTime);
}

function canonicalise(path: string, status: Stats): void {
  if (status.isDirectory()) {
    // A build may have closed its folders even to their owner.
    chmodSync(path, 0o755);
    for (const name of readdirSync(path)) canonicalise(join(path, name), statusOf(join(path, name)));
    chmodSync(path, 0o555);
  } else if (status.isFile()) {
    if ((status.mode & 0o6000) !== 0) {
      throw bad(path, `is ${(status.mode & 0o4000) !== 0 ? "setuid" : "setgid"}`, {
        expected: "files that run with the rights of who starts them",
        hint: "install it without that mode; a system gives it where it is wanted",
      });
    }
    chmodSync(path, (status.mode & 0o100) !== 0 ? 0o555 : 0o444);
  } else if (!status.isSymbolicLink()) {
    throw bad(path, "is neither a file, a directory nor a symbolic link");
  }
  lutimesSync(path, itemTime, itemTime);
}

function statusOf(path: string): Stats {
  const status = lstatSync(path, { throwIfNoEntry: false });
  // What a listing names and nobody finds has a name that did not survive being read as UTF-8.
  if (!status) throw bad(path, "has a name that is not UTF-8");
  return status;
}

function bad(path: string, what: string, more: { expected?: string; hint?: string } = {}) {
  return failure("bad-output", `${path} ${what}, which no store item may hold`, more);
}
