import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { failure } from "../base/error.ts";
import { type JsonChannel, jsonChannel } from "./json-channel.ts";

export interface GuestCommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The agent inside a machine (QEMU's docs/interop/qemu-ga-ref). All deadlines are in seconds. */
export interface GuestAgent {
  /** Waits until the agent answers. @throws MesoError `agent-silent`. */
  readonly ping: (deadline: number) => Promise<void>;
  /** @throws MesoError `agent-silent`, `agent-refused`, `guest-timeout` when the command does not end. */
  readonly exec: (
    argv: readonly string[],
    options?: { readonly input?: string | Uint8Array; readonly deadline?: number },
  ) => Promise<GuestCommandResult>;
  readonly readFile: (path: string) => Promise<Buffer>;
  readonly writeFile: (path: string, bytes: Uint8Array) => Promise<void>;
  /** Asks for a power down; that it happens shows in the machine's end. */
  readonly shutdown: () => Promise<void>;
}

/** @param timeScale how many times slower than a real machine this one is: stretches every deadline. */
export function guestAgent(socket: Socket, timeScale: number): GuestAgent {
  const channel = jsonChannel(socket);
  let synchronised = false;
  let turn: Promise<unknown> = Promise.resolve();
  /** The protocol has no identifiers: one conversation at a time. */
  const inTurn = <T>(body: () => Promise<T>): Promise<T> => {
    const result = turn.then(body);
    turn = result.catch(() => {});
    return result;
  };
  const call = async (execute: string, args?: object, deadline = usualSeconds): Promise<unknown> => {
    const end = performance.now() + deadline * timeScale * 1000;
    if (!synchronised) await synchronise(channel, end);
    synchronised = true;
    channel.send({ execute, ...(args && { arguments: args }) });
    const reply = await channel.receive((message) => message, Math.max(0, end - performance.now()));
    if (!reply) {
      // Its answer may still come, and must not be taken for the next one's.
      synchronised = false;
      throw silent(`to ${execute}`, deadline * timeScale);
    }
    const error = reply.error as { class?: string; desc?: string } | undefined;
    if (error) throw failure("agent-refused", `the guest agent refuses ${execute}: ${error.desc ?? error.class}`);
    return reply.return;
  };
  const exec: GuestAgent["exec"] = async (argv, { input, deadline = usualSeconds } = {}) => {
    const [path, ...arg] = argv;
    const end = performance.now() + deadline * timeScale * 1000;
    const { pid } = (await inTurn(() =>
      call("guest-exec", {
        path,
        arg,
        "capture-output": true,
        ...(input !== undefined && { "input-data": Buffer.from(input).toString("base64") }),
      }),
    )) as { pid: number };
    for (let pause = 20; ; pause = Math.min(pause * 2, 1000)) {
      const status = (await inTurn(() => call("guest-exec-status", { pid }))) as ExecStatus;
      if (status.exited) return result(status);
      if (performance.now() > end) {
        throw failure("guest-timeout", `${argv.join(" ")} did not end in the machine within ${deadline * timeScale} s`);
      }
      await sleep(pause);
    }
  };
  return {
    ping: async (deadline) => {
      await inTurn(() => call("guest-ping", undefined, deadline));
    },
    exec,
    readFile: (path) => inTurn(() => readFile(call, path)),
    writeFile: (path, bytes) => inTurn(() => writeFile(call, path, bytes)),
    shutdown: () =>
      inTurn(async () => {
        if (!synchronised) await synchronise(channel, performance.now() + usualSeconds * timeScale * 1000);
        // No answer on success.
        channel.send({ execute: "guest-shutdown", arguments: { mode: "powerdown" } });
      }),
  };
}

const usualSeconds = 30;
const firstSynchronisation = Math.floor(Math.random() * 1e9);
let synchronisations = firstSynchronisation;

/**
 * Until an answer carries our own number: whatever an earlier conversation left in the line, on either side,
 * is behind us then. Asked again every second, since nobody listens before the machine has started its agent.
 */
async function synchronise(channel: JsonChannel, end: number): Promise<void> {
  const started = performance.now();
  while (performance.now() < end && !channel.isClosed()) {
    const id = ++synchronisations;
    channel.send({ execute: "guest-sync-delimited", arguments: { id } }, Buffer.of(0xff));
    const patience = Math.min(1000, Math.max(0, end - performance.now()));
    if (await channel.receive((message) => (message.return === id ? true : undefined), patience)) return;
  }
  throw silent("at all", (performance.now() - started) / 1000);
}

function silent(what: string, seconds: number) {
  return failure("agent-silent", `the guest agent did not answer ${what} within ${Math.round(seconds)} s`, {
    expected: "a started machine in which qemu-guest-agent runs",
    hint: "look at the machine's console; add the guest agent's service to the system",
  });
}

type Call = (execute: string, args?: object) => Promise<unknown>;

interface ExecStatus {
  readonly exited: boolean;
  readonly exitcode?: number;
  readonly signal?: number;
  readonly "out-data"?: string;
  readonly "err-data"?: string;
}

/** An end by a signal gets the number that a shell would give it. */
function result(status: ExecStatus): GuestCommandResult {
  const text = (data?: string) => Buffer.from(data ?? "", "base64").toString("utf8");
  const exitCode = status.exitcode ?? 128 + (status.signal ?? 0);
  return { exitCode, stdout: text(status["out-data"]), stderr: text(status["err-data"]) };
}

/** Bytes a message carries at most; the agent itself would allow more. */
const pieceBytes = 1 << 20;

async function readFile(call: Call, path: string): Promise<Buffer> {
  const handle = await call("guest-file-open", { path, mode: "r" });
  try {
    const pieces: Buffer[] = [];
    for (;;) {
      const piece = (await call("guest-file-read", { handle, count: pieceBytes })) as {
        "buf-b64": string;
        eof: boolean;
      };
      pieces.push(Buffer.from(piece["buf-b64"], "base64"));
      if (piece.eof) return Buffer.concat(pieces);
    }
  } finally {
    await call("guest-file-close", { handle });
  }
}

async function writeFile(call: Call, path: string, bytes: Uint8Array): Promise<void> {
  const handle = await call("guest-file-open", { path, mode: "w" });
  try {
    for (let done = 0; done < bytes.length; ) {
      const piece = Buffer.from(bytes.subarray(done, done + pieceBytes)).toString("base64");
      const written = (await call("guest-file-write", { handle, "buf-b64": piece })) as { count: number };
      done += written.count;
    }
    await call("guest-file-flush", { handle });
  } finally {
    await call("guest-file-close", { handle });
  }
}
