import { execFile } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync, statfsSync, statSync } from "node:fs";
import { promisify } from "node:util";
import { failure } from "../../base/error.ts";
import type { ImageName } from "../pool.ts";

const run = promisify(execFile);

/** @throws MesoError `image-in-use`. */
export async function refuseOpeners(name: ImageName, path: string): Promise<void> {
  const openers = await openersOf(path);
  if (openers.length === 0) return;
  throw failure("image-in-use", `${name} is open in ${openers.join(" and ")}`, {
    hint: "shut down the machine first",
  });
}

/**
 * Who has the file open for writing, in words. QEMU takes locks on what it opens, which the kernel shows to
 * everybody; what else writes to it is seen among the open files of processes, as far as we may look.
 */
export async function openersOf(path: string): Promise<readonly string[]> {
  const { dev, ino } = statSync(path);
  const writers = processesWriting(dev, ino);
  if (writers.length > 0) return writers;
  if (isLockedForWriting(readFileSync("/proc/locks", "latin1"), dev, ino))
    return ["a process that cannot be looked at"];
  if (localFileSystems.has(statfsSync(path).type)) return [];
  return (await isLockedElsewhere(path)) ? ["a process of another host"] : [];
}

/** ext, XFS, Btrfs, tmpfs, overlayfs, ZFS, F2FS, bcachefs (statfs(2)): nobody else has files of them open. */
const localFileSystems = new Set([
  0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0x2fc12fc1, 0xf2f52010, 0xca451a4e,
]);

/**
 * Whether /proc/locks (proc(5)) shows the lock that QEMU's writers hold: on byte 101, "has permission to write"
 * (QEMU's block/file-posix.c, `RAW_LOCK_PERM_BASE` and `BLK_PERM_WRITE`).
 */
export function isLockedForWriting(locks: string, device: number, inode: number): boolean {
  return locks.split("\n").some((line) => {
    const found = /(\w+):(\w+):(\d+) (\d+) (\d+|EOF)$/.exec(line);
    if (!found || Number(found[3]) !== inode) return false;
    const [major, minor] = [Number.parseInt(found[1]!, 16), Number.parseInt(found[2]!, 16)];
    // Btrfs and overlayfs show another device here than stat(2) does, without major number.
    if (major !== 0 && (major !== majorOf(device) || minor !== minorOf(device))) return false;
    const last = found[5] === "EOF" ? Number.POSITIVE_INFINITY : Number(found[5]);
    return Number(found[4]) <= writeLockByte && last >= writeLockByte;
  });
}

const writeLockByte = 101;

/** As glibc's <sys/sysmacros.h> packs them. */
function majorOf(device: number): number {
  return ((Math.floor(device / 2 ** 32) & 0xfffff000) | ((device >>> 8) & 0xfff)) >>> 0;
}

function minorOf(device: number): number {
  return ((Math.floor(device / 2 ** 12) & 0xffffff00) | (device & 0xff)) >>> 0;
}

function processesWriting(device: number, inode: number): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const isWriting = readdirSync(`/proc/${pid}/fd`).some((fd) => isWritingTo(pid, fd, device, inode));
        return isWriting ? [`process ${pid} (${readFileSync(`/proc/${pid}/comm`, "utf8").trim()})`] : [];
      } catch {
        // Gone meanwhile, or another user's.
        return [];
      }
    });
}

function isWritingTo(pid: string, fd: string, device: number, inode: number): boolean {
  try {
    const link = `/proc/${pid}/fd/${fd}`;
    if (!readlinkSync(link).startsWith("/")) return false;
    const status = statSync(link);
    if (status.ino !== inode || status.dev !== device) return false;
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, "latin1"))?.[1] ?? "0";
    // O_ACCMODE: 0 is reading only.
    return (Number.parseInt(flags, 8) & 3) !== 0;
  } catch {
    return false;
  }
}

/** A network file system shows other hosts' locks only to who asks for one. */
async function isLockedElsewhere(path: string): Promise<boolean> {
  try {
    await run("qemu-img", ["info", path], { timeout: 20_000 });
    return false;
  } catch (error) {
    return /lock/i.test(`${(error as { stderr?: string }).stderr}`);
  }
}
