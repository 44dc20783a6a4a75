import type { Socket } from "node:net";

/** A line of JSON in each direction at a time, as QEMU's monitor (QMP) and its guest agent speak. */
export interface JsonChannel {
  readonly send: (message: unknown, prefix?: Uint8Array) => void;
  /** The next message that `accept` takes, undefined after `milliseconds` or when the line is cut. */
  readonly receive: <T>(
    accept: (message: Record<string, unknown>) => T | undefined,
    milliseconds: number,
  ) => Promise<T | undefined>;
  readonly isClosed: () => boolean;
}

/** Characters; a line that grows longer is not from an honest peer and is thrown away. */
const maxLine = 64 << 20;

export function jsonChannel(socket: Socket): JsonChannel {
  let rest = "";
  let closed = false;
  const waiting = new Set<(message?: Record<string, unknown>) => void>();
  socket.setEncoding("latin1");
  socket.on("data", (chunk: string) => {
    // 0xff, never part of JSON, is the agent's mark of a fresh start: what came before it is rubbish.
    const mark = chunk.lastIndexOf("\xff");
    rest = mark < 0 ? rest + chunk : chunk.slice(mark + 1);
    if (rest.length > maxLine) rest = "";
    const lines = rest.split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      const message = parsed(line);
      if (message) for (const receiver of [...waiting]) receiver(message);
    }
  });
  socket.on("error", () => {});
  socket.on("close", () => {
    closed = true;
    for (const receiver of [...waiting]) receiver();
  });
  return {
    send: (message, prefix) => {
      if (closed) return;
      if (prefix) socket.write(prefix);
      socket.write(`${JSON.stringify(message)}\n`);
    },
    receive: (accept, milliseconds) =>
      new Promise((resolve) => {
        if (closed) return resolve(undefined);
        const finish = (value?: ReturnType<typeof accept>) => {
          clearTimeout(timer);
          waiting.delete(receiver);
          resolve(value);
        };
        const receiver = (message?: Record<string, unknown>) => {
          if (!message) return finish();
          const value = accept(message);
          if (value !== undefined) finish(value);
        };
        const timer = setTimeout(finish, milliseconds);
        waiting.add(receiver);
      }),
    isClosed: () => closed,
  };
}

function parsed(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(line, "latin1").toString("utf8"));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
