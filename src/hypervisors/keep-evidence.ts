import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { failure, MesoError } from "../base/error.ts";
import { takeScreenshot } from "./qemu-screenshot.ts";
import type { Machine } from "./start-machine.ts";

/** Seconds for a sign of life from a machine which may not answer any more, and for each thing that is asked of it then. */
const signPatience = 5;
const patience = 5;

/**
 * Writes `<name>.console.txt`, `<name>.png` and `<name>.journal.txt` into a folder, as many of them as can be had: a machine
 * that is off has no screen, one that hangs no journal.
 */
export async function keepEvidence(
  folder: string,
  name: string,
  consoleText: string,
  machine: Machine | undefined,
): Promise<void> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${name}.console.txt`), consoleText);
  if (!machine) return;
  const { agent, monitor, timeScale } = machine;
  const keep = async (suffix: string, what: () => Promise<string | Buffer>) => {
    try {
      writeFileSync(join(folder, `${name}${suffix}`), await inTime(what(), patience * timeScale));
    } catch (error) {
      if (!(error instanceof MesoError)) throw error;
    }
  };
  await keep(".png", () => takeScreenshot(monitor));
  await keep(".journal.txt", async () => {
    await inTime(agent.ping(1), signPatience);
    const read = ["journalctl", "--boot", "--no-pager", "--output=short-precise"];
    return (await agent.exec(read)).stdout;
  });
}

/** An agent speaks with one at a time: a question may be waiting behind another that nobody answers. */
async function inTime<T>(answer: Promise<T>, seconds: number): Promise<T> {
  const over = new AbortController();
  const late = sleep(seconds * 1000, undefined, { signal: over.signal }).then(() => {
    throw failure("agent-silent", `no answer within ${seconds} s`);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    over.abort();
    late.catch(() => {});
  }
}
