import type { Socket } from "node:net";

/** The other side went away, or broke the protocol so that no answer makes sense. */
export class NbdHangUp extends Error {}

/** What a client sends, to be taken in pieces of known length. */
export interface ByteQueue {
  /** Exactly `length` bytes. @throws NbdHangUp when the stream ends before. */
  readonly take: (length: number) => Promise<Buffer>;
  /** Throws bytes away without ever holding them all. */
  readonly skip: (length: number) => Promise<void>;
}

export function byteQueue(socket: Socket): ByteQueue {
  const chunks = socket[Symbol.asyncIterator]();
  let held: Buffer = Buffer.alloc(0);
  const more = async (): Promise<Buffer> => {
    const next = await chunks.next().catch(() => ({ done: true, value: undefined }));
    if (next.done) throw new NbdHangUp("the client went away");
    return next.value as Buffer;
  };
  const take = async (length: number): Promise<Buffer> => {
    if (held.length < length) {
      const pieces = [held];
      for (let size = held.length; size < length; ) {
        const piece = await more();
        pieces.push(piece);
        size += piece.length;
      }
      held = Buffer.concat(pieces);
    }
    const taken = held.subarray(0, length);
    held = held.subarray(length);
    return taken;
  };
  const skip = async (length: number): Promise<void> => {
    let left = length;
    while (left > held.length) {
      left -= held.length;
      held = await more();
    }
    held = held.subarray(left);
  };
  return { take, skip };
}

/** Waits while the client reads more slowly than it asks. */
export async function send(socket: Socket, ...pieces: readonly Uint8Array[]): Promise<void> {
  if (socket.destroyed) throw new NbdHangUp("the client went away");
  let roomy = true;
  socket.cork();
  for (const piece of pieces) roomy = socket.write(piece);
  socket.uncork();
  if (roomy) return;
  await new Promise<void>((resolve) => {
    const done = () => {
      socket.off("drain", done);
      socket.off("close", done);
      resolve();
    };
    socket.on("drain", done);
    socket.on("close", done);
  });
}
