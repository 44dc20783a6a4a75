import { Refusal } from "./refusal.ts";

export interface Task {
  readonly upid: string;
  readonly node: string;
  readonly type: string;
  readonly id: string;
  readonly user: string;
  readonly log: string[];
  exitStatus: string | undefined;
}

export interface Tasks {
  /**
   * Begins a worker and gives its UPID at once. What it throws is its exit status; a number that it gives is how many
   * warnings it had.
   */
  readonly begin: (
    task: { node: string; type: string; id: string; user: string },
    body: (log: (line: string) => void) => Promise<unknown>,
  ) => string;
  /** @throws Refusal 400 for one that is not known, or was rotated away. */
  readonly find: (upid: string) => Task;
  readonly all: () => readonly Task[];
  /** As time does. */
  readonly forget: (upid: string) => void;
  readonly settled: () => Promise<void>;
}

export function taskList(): Tasks {
  const tasks = new Map<string, Task>();
  const running = new Set<Promise<void>>();
  const hex = (number: number) => number.toString(16).toUpperCase().padStart(8, "0");
  let last = 0x1000;
  return {
    begin: ({ node, type, id, user }, body) => {
      const upid = `UPID:${node}:${hex(++last)}:${hex(last * 7)}:${hex(0x65000000 + last)}:${type}:${id}:${user}:`;
      const task: Task = { upid, node, type, id, user, log: [], exitStatus: undefined };
      tasks.set(upid, task);
      const end = (status: string, line: string) => {
        task.log.push(line);
        task.exitStatus = status;
      };
      const work = Promise.resolve()
        .then(() => body((line) => task.log.push(line)))
        .then(
          (warnings) =>
            typeof warnings === "number" && warnings > 0
              ? end(`WARNINGS: ${warnings}`, `TASK WARNINGS: ${warnings}`)
              : end("OK", "TASK OK"),
          (error: Error) => end(error.message.trim(), `TASK ERROR: ${error.message.trim()}`),
        );
      running.add(work);
      work.finally(() => running.delete(work));
      return upid;
    },
    find: (upid) => {
      const task = tasks.get(upid);
      if (task) return task;
      throw new Refusal(400, "no such task\n");
    },
    all: () => [...tasks.values()],
    forget: (upid) => void tasks.delete(upid),
    settled: async () => {
      while (running.size > 0) await Promise.all(running);
    },
  };
}
