import { setTimeout as sleep } from "node:timers/promises";
import { failure } from "../base/error.ts";
import type { GuestAgent, GuestCommandResult } from "./guest-agent.ts";

/**
 * Asks the agent for one thing (QEMU's docs/interop/qemu-ga-ref) and gives what it returns, whatever carries the words.
 * @throws MesoError `agent-silent` after `deadline` seconds (default: as usual), `agent-refused`.
 */
export type AgentCall = (execute: string, args?: object, deadline?: number) => Promise<unknown>;

/** Seconds an agent gets for an answer unless said otherwise. */
export const usualAgentSeconds = 30;

/**
 * What takes several questions: commands, which are asked after until they end, and files, which go in pieces.
 *
 * @param timeScale how many times slower than a real machine this one is: stretches every deadline.
 * @param pieceBytes bytes of a file that one question or answer carries at most.
 */
export function agentVerbs(
  call: AgentCall,
  { timeScale, pieceBytes }: { readonly timeScale: number; readonly pieceBytes: number },
): Pick<GuestAgent, "exec" | "readFile" | "writeFile"> {
  return {
    exec: async (argv, { input, deadline = usualAgentSeconds } = {}) => {
      const [path, ...arg] = argv;
      const end = performance.now() + deadline * timeScale * 1000;
      const started = await call("guest-exec", {
        path,
        arg,
        "capture-output": true,
        ...(input !== undefined && { "input-data": Buffer.from(input).toString("base64") }),
      });
      const pid = field(started, "pid", "number");
      const status = await untilExited(() => call("guest-exec-status", { pid }), argv, end);
      if (status["out-truncated"] === true || status["err-truncated"] === true) {
        throw failure("agent-refused", `${argv[0]} says more than the guest agent keeps`, {
          hint: "write it into a file",
        });
      }
      return result(status);
    },
    readFile: (path) => readFile(call, path, pieceBytes),
    writeFile: (path, bytes) => writeFile(call, path, bytes, pieceBytes),
  };
}

/**
 * Asks until the command has exited, and gives the last answer.
 * @param end as `performance.now()` tells time.
 * @throws MesoError `guest-timeout`.
 */
export async function untilExited(
  ask: () => Promise<unknown>,
  argv: readonly string[],
  end: number,
): Promise<Readonly<Record<string, unknown>>> {
  const start = performance.now();
  for (let pause = 20; ; pause = Math.min(pause * 2, 1000)) {
    const status = await ask();
    // Proxmox's API says 1 where the agent says true.
    if (isRecord(status) && (status.exited === true || status.exited === 1)) return status;
    if (performance.now() > end) {
      const seconds = Math.round((end - start) / 1000);
      // Arguments may hold what is nobody's business; the program's name does not.
      throw failure("guest-timeout", `${argv[0]} did not end in the machine within ${seconds} s`);
    }
    await sleep(Math.min(pause, Math.max(0, end - performance.now())));
  }
}

/** An end by a signal gets the number that a shell would give it. */
function result(status: Readonly<Record<string, unknown>>): GuestCommandResult {
  const text = (data: unknown) => Buffer.from(typeof data === "string" ? data : "", "base64").toString("utf8");
  const { exitcode, signal } = status;
  const exitCode = typeof exitcode === "number" ? exitcode : 128 + (typeof signal === "number" ? signal : 0);
  return { exitCode, stdout: text(status["out-data"]), stderr: text(status["err-data"]) };
}

/** A guest that never tells the end of a file must not fill our memory. */
const longestFileBytes = 256 << 20;

async function readFile(call: AgentCall, path: string, pieceBytes: number): Promise<Buffer> {
  const handle = await call("guest-file-open", { path, mode: "r" });
  try {
    const pieces: Buffer[] = [];
    for (let done = 0; done <= longestFileBytes; ) {
      const piece = await call("guest-file-read", { handle, count: pieceBytes });
      const bytes = Buffer.from(field(piece, "buf-b64", "string"), "base64");
      pieces.push(bytes);
      done += bytes.length;
      if (field(piece, "eof", "boolean")) return Buffer.concat(pieces);
      if (bytes.length === 0) throw nonsense("nothing, before the end of the file");
    }
    throw failure("agent-refused", `${path} in the machine is longer than ${longestFileBytes} bytes`);
  } finally {
    await call("guest-file-close", { handle });
  }
}

async function writeFile(call: AgentCall, path: string, bytes: Uint8Array, pieceBytes: number): Promise<void> {
  const handle = await call("guest-file-open", { path, mode: "w" });
  try {
    for (let done = 0; done < bytes.length; ) {
      const piece = Buffer.from(bytes.subarray(done, done + pieceBytes)).toString("base64");
      const count = field(await call("guest-file-write", { handle, "buf-b64": piece }), "count", "number");
      if (!(count > 0 && count <= pieceBytes)) throw nonsense(`to have written ${count} bytes`);
      done += count;
    }
    await call("guest-file-flush", { handle });
  } finally {
    await call("guest-file-close", { handle });
  }
}

interface Kinds {
  readonly number: number;
  readonly string: string;
  readonly boolean: boolean;
}

/** What answers is a program of the machine, and the machine may be anybody's. */
function field<K extends keyof Kinds>(reply: unknown, name: string, kind: K): Kinds[K] {
  const value = isRecord(reply) ? reply[name] : undefined;
  if (typeof value === kind) return value as Kinds[K];
  throw nonsense(`no ${name}`);
}

function nonsense(what: string) {
  return failure("agent-refused", `the guest agent answered ${what}`, { expected: "answers of qemu-guest-agent" });
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null;
