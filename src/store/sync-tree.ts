import { spawn } from "node:child_process";
import { closeSync, fsync, lstatSync, openSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

/** With more files than this, having the whole file system written is faster than asking for each. */
const manyFiles = 32;

/**
 * Waits until a file or tree is on the disk, so that what is published after it never stands for bytes that a lost
 * power supply took. That renames come to the disk in their order is left to the file system's journal.
 */
export async function syncTree(path: string): Promise<void> {
  const files: string[] = [];
  listFiles(path, files);
  if (files.length > manyFiles && (await syncFileSystem(path))) return;
  await Promise.all(files.map(syncOne));
}

function listFiles(path: string, files: string[]): void {
  const status = lstatSync(path);
  if (status.isDirectory()) for (const name of readdirSync(path)) listFiles(join(path, name), files);
  if (status.isDirectory() || status.isFile()) files.push(path);
}

async function syncOne(path: string): Promise<void> {
  const file = openSync(path, "r");
  try {
    await syncToDisk(file);
  } finally {
    closeSync(file);
  }
}

/** False where there is no such program (coreutils and busybox have it): syncfs(2) is out of Node's reach. */
function syncFileSystem(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn("sync", ["-f", path], { stdio: "ignore" });
    child.once("error", () => resolve(false));
    child.once("close", (code) => resolve(code === 0));
  });
}

const syncToDisk = promisify(fsync);
