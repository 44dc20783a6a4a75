import { setTimeout as sleep } from "node:timers/promises";
import { failure } from "../base/error.ts";
import { type GuestAgent, guestAgent } from "./guest-agent.ts";
import { connectInFolder } from "./qemu-folder-socket.ts";
import { findProcess } from "./qemu-host-process.ts";

/**
 * The agent of a machine whose QEMU is not ours to keep a line to: each verb has its own, so that several processes take
 * turns. @param timeScale asked each time: the machine may have been started again.
 */
export function hostAgent(name: string, folder: string, timeScale: () => number): GuestAgent {
  const speak = async <T>(seconds: number, body: (agent: GuestAgent) => Promise<T>): Promise<T> => {
    const isAlive = () => findProcess(folder) !== undefined;
    const socket = await connectInFolder(folder, "agent", seconds * timeScale(), isAlive);
    if (!socket) {
      const why = isAlive() ? "is busy with somebody else" : "cannot answer: the machine is off";
      throw failure("agent-silent", `the guest agent of ${name} ${why}`);
    }
    try {
      return await body(guestAgent(socket, timeScale()));
    } finally {
      socket.destroy();
    }
  };
  return {
    get timeScale() {
      return timeScale();
    },
    ping: (deadline) => speak(deadline, (agent) => agent.ping(deadline)),
    exec: (argv, options) => speak(options?.deadline ?? patience, (agent) => agent.exec(argv, options)),
    readFile: (path) => speak(patience, (agent) => agent.readFile(path)),
    writeFile: (path, bytes) => speak(patience, (agent) => agent.writeFile(path, bytes)),
    shutdown: () =>
      speak(patience, async (agent) => {
        await agent.shutdown();
        // There is no answer to wait for, and hanging up could overtake the request.
        await sleep(200);
      }),
  };
}

/** Seconds to wait for others that speak with the same agent. */
const patience = 30;
