import { execFile } from "node:child_process";
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";
import type { Problem } from "../../base/error.ts";
import type { Places } from "./places.ts";

const run = promisify(execFile);

/** What is missing for a pool in that folder. */
export async function checkDirectory({ folder }: Places): Promise<readonly Problem[]> {
  return [...folderProblems(folder), ...(await toolProblems())];
}

function folderProblems(folder: string): Problem[] {
  let existing = folder;
  while (!existsSync(existing)) existing = dirname(existing);
  if (!statSync(existing).isDirectory()) {
    return [{ code: "pool-unreachable", what: `${existing} is no folder`, expected: "a folder for the images" }];
  }
  try {
    accessSync(existing, constants.R_OK | constants.W_OK | constants.X_OK);
    return [];
  } catch {
    return [{ code: "pool-forbidden", what: `you may not write in ${existing}`, expected: "a folder of yours" }];
  }
}

/** Images have subclusters, which QEMU knows since 5.2. */
async function toolProblems(): Promise<Problem[]> {
  const hint = "apt-get install qemu-utils";
  try {
    const { stdout } = await run("qemu-img", ["--version"], { timeout: 20_000 });
    const [, major, minor] = /version (\d+)\.(\d+)/.exec(stdout) ?? [];
    if (Number(major) * 100 + Number(minor) >= 502) return [];
    return [{ code: "qemu-missing", what: `qemu-img is of version ${major}.${minor}`, expected: "5.2 or newer", hint }];
  } catch {
    return [{ code: "qemu-missing", what: "qemu-img is not installed, or does not run", hint }];
  }
}
