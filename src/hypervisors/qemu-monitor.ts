import type { Socket } from "node:net";
import { failure } from "../base/error.ts";
import { jsonChannel } from "./json-channel.ts";

/** Commands for a running QEMU (QMP, docs/interop/qmp-spec). */
export interface QemuMonitor {
  /**
   * Gives the command's result. @throws MesoError `task-failed` with QEMU's words, `unknown-outcome` when no answer came
   * within `seconds`.
   */
  readonly execute: (command: string, args?: object, seconds?: number) => Promise<unknown>;
  readonly close: () => void;
}

export function qemuMonitor(socket: Socket): QemuMonitor {
  const channel = jsonChannel(socket);
  let last = 0;
  const execute: QemuMonitor["execute"] = async (command, args, seconds = 10) => {
    const id = `meso-${++last}`;
    const answer = channel.receive((message) => (message.id === id ? message : undefined), seconds * 1000);
    channel.send({ execute: command, ...(args && { arguments: args }), id });
    const reply = await answer;
    if (!reply) {
      const why = channel.isClosed() ? "ended" : `did not answer within ${seconds} s`;
      throw failure("unknown-outcome", `QEMU ${why} when asked to ${command}`);
    }
    const error = reply.error as { desc?: string; class?: string } | undefined;
    if (error) throw failure("task-failed", `QEMU refuses ${command}: ${error.desc ?? error.class}`);
    return reply.return;
  };
  // A conversation begins so; who waits for the answer of a later command has waited for this one too.
  channel.send({ execute: "qmp_capabilities" });
  return { execute, close: () => socket.destroy() };
}
