import { rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { failure } from "../../base/error.ts";
import type { DiskRecipe } from "../extent.ts";
import { negotiate } from "./nbd-handshake.ts";
import { byteQueue, NbdHangUp } from "./nbd-stream.ts";
import { transmit } from "./nbd-transmission.ts";
import { contentReader, type SegmentFiles } from "./recipe-reader.ts";

export interface NbdServer {
  readonly socketPath: string;
  /** The first failure to read contents, if any: clients only see "input/output error". */
  readonly problem: () => Error | undefined;
  readonly close: () => Promise<void>;
}

/**
 * Serves a disk, read-only, over NBD on a unix socket, straight from segment files: nothing is written
 * first. Any number of clients at once; one that speaks nonsense is hung up on and harms no other.
 * Fixed newstyle handshake, structured replies and `base:allocation` (the NBD project's doc/proto.md).
 *
 * @throws MesoError `nbd-socket` when the socket cannot be made.
 */
export async function serveNbd(
  recipe: DiskRecipe,
  options: { socketPath: string; files: SegmentFiles },
): Promise<NbdServer> {
  const reader = contentReader(options.files);
  const clients = new Set<Socket>();
  let problem: Error | undefined;
  const server = createServer((socket) => {
    clients.add(socket);
    socket.on("close", () => clients.delete(socket));
    // A client that goes away in the middle is ordinary; its conversation ends by the closed stream.
    socket.on("error", () => {});
    converse(socket).catch((error) => {
      if (!(error instanceof NbdHangUp)) problem ??= error as Error;
      socket.destroy();
    });
  });
  const converse = async (socket: Socket) => {
    const input = byteQueue(socket);
    const abilities = await negotiate(recipe, input, socket);
    const onProblem = (error: Error) => {
      problem ??= error;
    };
    if (abilities) await transmit({ recipe, reader, input, socket, onProblem, ...abilities });
    socket.end();
  };
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) =>
      reject(
        failure("nbd-socket", `${options.socketPath}: ${error.message}`, {
          expected: "a free path of less than 108 bytes",
        }),
      ),
    );
    server.listen(options.socketPath, resolve);
  });
  const close = async () => {
    for (const client of clients) client.destroy();
    await new Promise((resolve) => server.close(resolve));
    rmSync(options.socketPath, { force: true });
    reader.close();
  };
  return { socketPath: options.socketPath, problem: () => problem, close };
}
