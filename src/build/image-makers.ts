import { type ChildProcess, fork } from "node:child_process";
import { getCompileCacheDir } from "node:module";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import type { ResolvedSystem } from "./prepare.ts";
import type { BuildSession } from "./session.ts";

/** An image to be made in the store by a child process. */
export interface ImageJob {
  readonly key: string;
  readonly system: ResolvedSystem;
  /** Bytes of the whole disk. */
  readonly size?: number;
}

/** What a child process is told first. */
export interface MakerSetup {
  readonly store: string;
  readonly lockFile: string;
}

export interface ImageMakers {
  /** Waits until the image is in the store, or until it is certain that no child process will put it there. */
  readonly tried: (key: string) => Promise<void>;
  readonly stop: () => void;
}

/**
 * Child processes, one for each processor, that put images into the store ahead of who asks for them, in the order of
 * `jobs`. Whatever fails in one, its death included, is met again, and told, by who makes the image for himself.
 */
export function startImageMakers(session: BuildSession, jobs: readonly ImageJob[]): ImageMakers {
  const setup: MakerSetup = { store: session.store.directory, lockFile: session.lockFile };
  const outcomes = new Map(jobs.map(({ key }) => [key, Promise.withResolvers<void>()]));
  const queue = [...jobs];
  let asked = 0;
  const idle = new Set<ChildProcess>();
  const children = new Set<ChildProcess>();
  const atWork = new Map<ChildProcess, string>();

  const assign = (child: ChildProcess): void => {
    // What is made far ahead would only fill the memory of the machine with what nobody reads yet.
    const job = jobs.length - queue.length < asked + mostAhead ? queue.shift() : undefined;
    if (!job) return void idle.add(child);
    idle.delete(child);
    atWork.set(child, job.key);
    child.send(job);
  };

  /** The child's image is there, or will not come from it. */
  const end = (child: ChildProcess): void => {
    outcomes.get(atWork.get(child) ?? "")?.resolve();
    atWork.delete(child);
  };

  const start = (): void => {
    const child = fork(fileURLToPath(new URL("image-maker-child.ts", import.meta.url)), {
      serialization: "advanced",
      // An image is some 15,000 short-lived objects of each kind: with room for them, few are moved about.
      execArgv: [...process.execArgv, "--max-semi-space-size=64"],
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      env: { ...process.env, ...(getCompileCacheDir() && { NODE_COMPILE_CACHE: getCompileCacheDir() }) },
    });
    children.add(child);
    child.on("message", () => {
      end(child);
      assign(child);
    });
    child.once("exit", () => {
      end(child);
      children.delete(child);
      idle.delete(child);
      if (children.size === 0) for (const { resolve } of outcomes.values()) resolve();
    });
    child.on("error", () => {}); // It could not be started, or was gone when it was sent something: its exit tells.
    child.send(setup);
    assign(child);
  };
  for (let i = 0; i < Math.min(availableParallelism(), mostChildren, Math.ceil(jobs.length / 4)); i++) start();

  return {
    tried: async (key) => {
      asked++;
      for (const child of [...idle]) assign(child);
      await outcomes.get(key)?.promise;
    },
    stop: () => {
      for (const child of children) child.kill("SIGKILL");
    },
  };
}

/** Each takes up to 400 MB. */
const mostChildren = 4;
const mostAhead = 16;
