import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { FreshPool } from "./pool-suite-context.testing.ts";

const childProgram = fileURLToPath(new URL("pool-child.testing.ts", import.meta.url));

/**
 * Something done to the pool by a process that can be killed. `ended` gives all that it said, once whatever it has
 * started has ended too: a helper that is alone brings the call it has begun to its end.
 */
export function inOtherProcess(place: FreshPool, words: readonly string[]) {
  const child: ChildProcess = spawn(
    process.execPath,
    [childProgram, place.opener, JSON.stringify(place.settings), ...words],
    { stdio: ["ignore", "pipe", "inherit"], detached: true, env: { ...process.env, NODE_TEST_CONTEXT: undefined } },
  );
  let said = "";
  const ended = new Promise<string>((resolve, reject) => {
    child.once("close", () => void groupEnds(child.pid!).then(() => resolve(said), reject));
  });
  child.stdout!.on("data", (chunk) => {
    said += chunk;
  });
  const says = (word: string) =>
    new Promise<void>((resolve) => {
      child.stdout!.on("data", () => {
        if (said.includes(word)) resolve();
      });
      child.once("close", () => resolve());
    });
  const [ready, done] = [says("ready"), says("done")];
  /** Alone, or with whatever it has started. */
  const kill = (withChildren: boolean) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    process.kill(withChildren ? -child.pid! : child.pid!, "SIGKILL");
  };
  return { ready, done, ended, kill };
}

/** Resolves when no process is left of the group; rejects when some still are after half a minute. */
export async function groupEnds(group: number): Promise<void> {
  for (let tries = 0; tries < 1200; tries++) {
    try {
      process.kill(-group, 0);
    } catch {
      return;
    }
    await sleep(25);
  }
  throw new Error(`processes of the group ${group} do not end`);
}
