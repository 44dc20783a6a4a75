import { createServer, type Server, type Socket } from "node:net";

/** An Ethernet switch between machines, in this process: no root, no port of the host, nobody else on the wire. */
export interface VirtualSwitch {
  /** A socket that QEMU connects to, for one card. */
  readonly addPort: (socketPath: string) => Promise<SwitchPort>;
  /** Sends a frame to whoever has its destination, as if it came from a port of the switch's own. */
  readonly send: (frame: Buffer) => void;
  readonly close: () => Promise<void>;
}

export interface SwitchPort {
  readonly socketPath: string;
  /** Pulls the cable, or puts it back: frames in both directions are lost meanwhile. */
  readonly setCable: (isIn: boolean) => void;
}

interface Port {
  socket?: Socket;
  isPlugged: boolean;
  readonly server?: Server;
}

/** @param onFrame sees each frame that a machine sends, before it is passed on. */
export function virtualSwitch(onFrame: (frame: Buffer) => void = () => {}): VirtualSwitch {
  const ports = new Set<Port>();
  /** Which port a card was last heard at. */
  const places = new Map<string, Port>();
  const own: Port = { isPlugged: true };

  const deliver = (frame: Buffer, to: Port) => {
    if (!to.isPlugged || !to.socket?.writable) return;
    // A machine that does not read loses frames, as on any wire.
    if (to.socket.writableLength > mostWaiting) return;
    const length = Buffer.alloc(4);
    length.writeUInt32BE(frame.length);
    to.socket.write(Buffer.concat([length, frame]));
  };
  const forward = (frame: Buffer, from: Port) => {
    if (!from.isPlugged || frame.length < headerBytes) return;
    places.set(frame.toString("hex", 6, 12), from);
    // The lowest bit of the first byte: for all.
    const place = (frame[0]! & 1) === 0 ? places.get(frame.toString("hex", 0, 6)) : undefined;
    for (const port of place ? [place] : ports) if (port !== from) deliver(frame, port);
  };

  return {
    addPort: async (socketPath) => {
      const port: Port = { isPlugged: true, server: createServer() };
      port.server!.on("connection", (socket) => {
        // Started again: the former connection is gone, or will be.
        port.socket?.destroy();
        port.socket = socket;
        readFrames(socket, (frame) => {
          onFrame(frame);
          forward(frame, port);
        });
      });
      await new Promise<void>((resolve, reject) => {
        port.server!.once("error", reject);
        port.server!.listen(socketPath, resolve);
      });
      ports.add(port);
      return {
        socketPath,
        setCable: (isIn) => {
          port.isPlugged = isIn;
        },
      };
    },
    send: (frame) => forward(frame, own),
    close: async () => {
      for (const { socket, server } of ports) {
        socket?.destroy();
        await new Promise((resolve) => server?.close(resolve));
      }
    },
  };
}

/** Destination, source and type. */
const headerBytes = 14;
/** Largest frame that QEMU sends: virtio's offloads join packets up to 64 KiB. */
const largestFrame = 68 << 10;
const mostWaiting = 4 << 20;

/** QEMU's stream back end: each frame after its length, four bytes, big-endian (net/stream.c). */
export function readFrames(socket: Socket, onFrame: (frame: Buffer) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  socket.on("error", () => {});
  socket.on("data", (piece: Buffer) => {
    rest = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    while (rest.length >= 4) {
      const length = rest.readUInt32BE(0);
      // Not from QEMU, or out of step: nothing sensible can follow.
      if (length > largestFrame) return void socket.destroy();
      if (rest.length < 4 + length) return;
      onFrame(rest.subarray(4, 4 + length));
      rest = rest.subarray(4 + length);
    }
  });
}
