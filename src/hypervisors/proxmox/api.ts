import { setTimeout as sleep } from "node:timers/promises";
import { failure, MesoError } from "../../base/error.ts";
import { type Answer, type Connection, openConnection, type Parameters } from "./connection.ts";
import { explainFailure } from "./explain-failure.ts";
import type { Operations } from "./operations.ts";
import type { ProxmoxOptions } from "./proxmox-options.ts";
import { parseTaskId, type TaskId } from "./task-id.ts";

/** The API of a cluster, typed by its schema. */
export interface ProxmoxApi {
  readonly title: string;
  readonly call: <O extends keyof Operations>(
    operation: O,
    path: Operations[O]["path"],
    parameters?: Operations[O]["parameters"],
    deadlineSeconds?: number,
  ) => Promise<Operations[O]["result"]>;
  /**
   * Begins a task and waits for its end. An operation whose lock is held is begun again, after a pause, until the deadline.
   * @throws MesoError what the task failed of, with its log's end; `unknown-outcome` when it takes longer.
   */
  readonly run: <O extends TaskOperation>(
    operation: O,
    path: Operations[O]["path"],
    parameters: Operations[O]["parameters"],
    deadlineSeconds: number,
  ) => Promise<void>;
  /** The same for one that is done when its answer comes. */
  readonly change: <O extends keyof Operations>(
    operation: O,
    path: Operations[O]["path"],
    parameters: Operations[O]["parameters"],
    deadlineSeconds: number,
  ) => Promise<Operations[O]["result"]>;
  /** Looks until it sees something other than undefined; pauses grow. */
  readonly until: <T>(look: () => Promise<T | undefined>, deadlineSeconds: number) => Promise<T | undefined>;
  /** How long the effect of a request is waited for whose answer was lost, before it is asked again. */
  readonly lostSeconds: number;
  readonly accept: Connection["accept"];
  readonly close: () => void;
}

/** Those that answer with a UPID. */
export type TaskOperation =
  | "POST /nodes/{node}/qemu"
  | "DELETE /nodes/{node}/qemu/{vmid}"
  | "POST /nodes/{node}/qemu/{vmid}/status/start"
  | "POST /nodes/{node}/qemu/{vmid}/status/stop"
  | "POST /nodes/{node}/qemu/{vmid}/status/shutdown"
  | "POST /nodes/{node}/qemu/{vmid}/status/resume";

/** Proxmox's own proxy gives up after 30 s (with a 596), a lock after 10 s. */
const usualSeconds = 45;

export function proxmoxApi(options: ProxmoxOptions): ProxmoxApi {
  const connection = openConnection(options);
  const pauses = options.pauses ?? { first: 0.1, longest: 2 };
  const call: ProxmoxApi["call"] = async (operation, path, parameters = {}, deadlineSeconds = usualSeconds) => {
    const [method, template] = operation.split(" ") as [string, string];
    const filled = fill(template, path as Parameters);
    const answer = await connection.send(method, filled, parameters as Parameters, deadlineSeconds);
    return dataOf(answer, `${method} ${filled}`) as never;
  };
  const until: ProxmoxApi["until"] = async (look, deadlineSeconds) => {
    const end = performance.now() + deadlineSeconds * 1000;
    for (let pause = pauses.first; ; pause = Math.min(pause * 1.5, pauses.longest)) {
      const seen = await look();
      if (seen !== undefined || performance.now() >= end) return seen;
      await sleep(Math.min(pause * 1000, Math.max(1, end - performance.now())));
    }
  };
  /** Only for a held lock: everything else would fail, or be done, again. */
  const whileLocked = async <T>(body: (secondsLeft: number) => Promise<T>, deadlineSeconds: number): Promise<T> => {
    const end = performance.now() + deadlineSeconds * 1000;
    for (;;) {
      try {
        return await body(Math.max(1, (end - performance.now()) / 1000));
      } catch (error) {
        const pause = (0.5 + Math.random()) * pauses.longest * 1000;
        if (!isHeldLock(error) || performance.now() + pause >= end) throw error;
        await sleep(pause);
      }
    }
  };
  const wait = (task: TaskId, seconds: number) => waitForTask({ call, until }, task, seconds, options.report);
  return {
    title: connection.title,
    call,
    until,
    run: (operation, path, parameters, deadlineSeconds) =>
      whileLocked(async (secondsLeft) => {
        await wait(parseTaskId(await call(operation, path, parameters)), secondsLeft);
      }, deadlineSeconds),
    change: (operation, path, parameters, deadlineSeconds) =>
      whileLocked(() => call(operation, path, parameters), deadlineSeconds),
    lostSeconds: pauses.longest * 5,
    accept: connection.accept,
    close: connection.close,
  };
}

export function isCode(error: unknown, ...codes: readonly string[]): error is MesoError {
  return error instanceof MesoError && codes.includes(error.code);
}

function isHeldLock(error: unknown): boolean {
  return isCode(error, "busy-retry") && error.message.includes("can't lock file");
}

function fill(template: string, path: Parameters): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(path[name])));
}

/** @throws MesoError for every answer that is not a success. */
function dataOf({ status, reason, body }: Answer, asked: string): unknown {
  const parsed = parse(body);
  if (status === 200 && parsed && "data" in parsed) return parsed.data;
  if (status === 200) {
    throw failure("unknown-outcome", `the answer to ${asked} is not one of Proxmox: ${body.slice(0, 80)}`, {
      hint: "does something stand between here and the node?",
    });
  }
  // Older releases leave the message out of the body; it always stands in the status line.
  const text = typeof parsed?.message === "string" && parsed.message.trim() !== "" ? parsed.message : reason;
  const errors = parsed?.errors;
  throw explainFailure({
    ...{ status, text, asked },
    ...(typeof errors === "object" && errors !== null && { fields: errors as Record<string, unknown> }),
  });
}

function parse(body: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** Lines of the log that an error shows. */
const logTail = 12;
const logPage = 500;

async function waitForTask(
  { call, until }: Pick<ProxmoxApi, "call" | "until">,
  task: TaskId,
  deadlineSeconds: number,
  report: ((line: string) => void) | undefined,
): Promise<void> {
  const path = { node: task.node, upid: task.upid };
  const lines: string[] = [];
  const hear = async () => {
    for (;;) {
      const asked = { start: lines.length, limit: logPage };
      const page = await call("GET /nodes/{node}/tasks/{upid}/log", path, asked);
      const fresh = page.filter(({ n, t }) => n > lines.length && t !== "no content").map(({ t }) => t);
      for (const line of fresh) report?.(line);
      lines.push(...fresh);
      if (page.length < logPage) return;
    }
  };
  const ended = await until(async () => {
    try {
      const status = await call("GET /nodes/{node}/tasks/{upid}/status", path);
      if (report) await hear();
      return status.status === "stopped" ? (status.exitstatus ?? "") : undefined;
    } catch (error) {
      // The task goes on while nobody can be asked about it.
      if (isCode(error, "hypervisor-unreachable", "unknown-outcome")) return undefined;
      throw isCode(error, "invalid-setting") ? forgotten(task) : error;
    }
  }, deadlineSeconds);
  if (ended === undefined) {
    throw failure("unknown-outcome", `the task ${task.upid} has not ended within ${Math.round(deadlineSeconds)} s`);
  }
  if (ended === "OK" || /^WARNINGS: \d+$/.test(ended)) return;
  if (ended === "unexpected status" || ended === "") throw forgotten(task);
  await hear().catch(() => {});
  throw explainFailure({ status: 0, text: ended, asked: task.upid, log: lines.slice(-logTail) });
}

function forgotten(task: TaskId): MesoError {
  return failure("unknown-outcome", `Proxmox does not know how the task ${task.upid} ended`);
}
