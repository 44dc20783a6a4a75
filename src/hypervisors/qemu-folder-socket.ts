import { closeSync, openSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * Connects to a unix socket in a folder, however long the folder's path is: a socket's address holds 107 bytes, so the
 * folder is opened and named by its descriptor (proc(5)). QEMU serves one client at a time: while another is connected,
 * or the socket is not there yet, it is tried again.
 *
 * @returns undefined when nobody answered within `seconds`, or `isAlive` said that nobody will.
 */
export async function connectInFolder(
  folder: string,
  name: string,
  seconds: number,
  isAlive: () => boolean,
): Promise<Socket | undefined> {
  const end = performance.now() + seconds * 1000;
  for (let pause = 10; ; pause = Math.min(pause * 2, 200)) {
    const socket = await tryConnect(folder, name);
    if (socket) return socket;
    if (performance.now() + pause > end || !isAlive()) return undefined;
    await sleep(pause);
  }
}

async function tryConnect(folder: string, name: string): Promise<Socket | undefined> {
  let descriptor: number;
  try {
    descriptor = openSync(folder, "r");
  } catch {
    return undefined;
  }
  try {
    return await new Promise((resolve) => {
      const socket = connect(`/proc/self/fd/${descriptor}/${name}`);
      socket.once("connect", () => resolve(socket));
      socket.once("error", () => resolve(undefined));
    });
  } finally {
    closeSync(descriptor);
  }
}
