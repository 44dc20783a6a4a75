import type { Socket } from "node:net";
import { failure } from "../base/error.ts";
import { type AgentCall, agentVerbs, usualAgentSeconds } from "./agent-verbs.ts";
import { type JsonChannel, jsonChannel } from "./json-channel.ts";

export interface GuestCommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The agent inside a machine (QEMU's docs/interop/qemu-ga-ref). All deadlines are in seconds. */
export interface GuestAgent {
  /** How many times slower than hardware the machine is, where that is known: every deadline is stretched by it. */
  readonly timeScale?: number;
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
  const call: AgentCall = (execute, args, deadline = usualAgentSeconds) =>
    inTurn(async () => {
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
    });
  return {
    timeScale,
    ping: async (deadline) => {
      await call("guest-ping", undefined, deadline);
    },
    ...agentVerbs(call, { timeScale, pieceBytes }),
    shutdown: () =>
      inTurn(async () => {
        if (!synchronised) await synchronise(channel, performance.now() + usualAgentSeconds * timeScale * 1000);
        // No answer on success.
        channel.send({ execute: "guest-shutdown", arguments: { mode: "powerdown" } });
      }),
  };
}

/** Bytes a message carries at most; the agent itself would allow more. */
const pieceBytes = 1 << 20;

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
