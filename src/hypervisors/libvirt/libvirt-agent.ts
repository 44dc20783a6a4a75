import { setTimeout as sleep } from "node:timers/promises";
import { failure, MesoError } from "../../base/error.ts";
import { type AgentCall, agentVerbs, usualAgentSeconds } from "../agent-verbs.ts";
import type { GuestAgent } from "../guest-agent.ts";
import type { MachineId } from "../hypervisor.ts";
import { checkedName, readDomain } from "./domain.ts";
import type { Virsh } from "./virsh.ts";
import { isNotRunning } from "./virsh-failure.ts";

/** The agent of a domain, through libvirt, which synchronises and queues. Deadlines are stretched on emulated machines. */
export function libvirtAgent(virsh: Virsh, id: MachineId): GuestAgent {
  let known: number | undefined;
  /** Asked once; of a machine that cannot be read, the questions themselves will tell. */
  const timeScale = async () => {
    if (known !== undefined) return known;
    const domain = await readDomain(virsh, id.name).catch(() => undefined);
    known = domain && (domain.state.timeScale ?? 1);
    return known ?? 1;
  };
  const ask = async (execute: string, args: object | undefined, seconds: number): Promise<unknown> => {
    const message = asciiJson({ execute, ...(args && { arguments: args }) });
    const timeout = String(Math.max(1, Math.ceil(seconds)));
    const command = ["qemu-agent-command", checkedName(id.name), "--timeout", timeout, message];
    // Libvirt waits for its own handshake with the agent before that time begins.
    const text = await virsh.whisper(command, { seconds: seconds + handshakeSeconds, changes: true }).catch((error) => {
      throw agentFailure(error, id);
    });
    return answerIn(text);
  };
  const call: AgentCall = async (execute, args, deadline = usualAgentSeconds) =>
    ask(execute, args, deadline * (await timeScale()));
  const verbs = async () => agentVerbs(call, { timeScale: await timeScale(), pieceBytes });
  return {
    get timeScale() {
      return known ?? 1;
    },
    ping: async (deadline) => {
      const seconds = deadline * (await timeScale());
      for (const end = performance.now() + seconds * 1000; ; await sleep(pauseMilliseconds)) {
        const left = (end - performance.now()) / 1000;
        try {
          await ask("guest-ping", undefined, Math.min(pingSeconds, Math.max(0, left)));
          return;
        } catch (error) {
          const isSilence = error instanceof MesoError && error.code === "agent-silent";
          if (!isSilence || performance.now() + pauseMilliseconds >= end) throw error;
        }
      }
    },
    exec: async (argv, options) => (await verbs()).exec(argv, options),
    readFile: async (path) => (await verbs()).readFile(path),
    writeFile: async (path, bytes) => (await verbs()).writeFile(path, bytes),
    shutdown: async () => {
      await ask("guest-ping", undefined, pingSeconds);
      // No answer on success; `virsh shutdown --mode agent` would wait for one, and keep others away, for a minute.
      await ask("guest-shutdown", { mode: "powerdown" }, 1).catch((error) => {
        if (!(error instanceof MesoError) || error.code !== "agent-silent") throw error;
      });
    },
  };
}

const handshakeSeconds = 10;
const pingSeconds = 3;
const pauseMilliseconds = 300;

/** virsh takes a line of that length in half a second. */
const pieceBytes = 48 << 10;

/** Printable ASCII only: the line goes through virsh's line editor. */
function asciiJson(value: object): string {
  return JSON.stringify(value).replace(
    /[^ -~]|'/g,
    (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function answerIn(text: string): unknown {
  try {
    const answer: unknown = JSON.parse(text);
    if (typeof answer === "object" && answer !== null && "return" in answer) return answer.return;
  } catch {
    // Said below.
  }
  throw failure("agent-refused", "the guest agent's answer makes no sense", {
    expected: "JSON with the member return",
  });
}

/** A machine that is off has nobody to answer. */
function agentFailure(error: unknown, id: MachineId): unknown {
  if (!(error instanceof MesoError)) return error;
  if (error.code === "unknown-outcome" || isNotRunning(error)) {
    return failure("agent-silent", `the guest agent of ${id.name} does not answer: ${error.message}`, {
      hint: "is the machine on? look at its console; add the guest agent's service to the system",
    });
  }
  return error;
}
