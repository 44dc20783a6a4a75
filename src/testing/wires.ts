import { join } from "node:path";
import { dhcpServer } from "./dhcp-server.ts";
import { type VirtualSwitch, virtualSwitch } from "./virtual-switch.ts";

interface Card {
  readonly wire: string;
  readonly mac: string;
}

/** One switch a wire, each with a server that gives addresses to those who ask. */
export interface Wires {
  /** Sockets for a machine's cards, by their addresses. */
  readonly plug: (cards: readonly Card[]) => Promise<{
    readonly socketPaths: ReadonlyMap<string, string>;
    readonly setCables: (areIn: boolean) => void;
  }>;
  readonly close: () => Promise<void>;
}

/** The last part of the first machine's address. */
const firstAddress = 10;

/** @param all every card of every machine, in the order in which addresses are given. */
export function wires(folder: string, all: readonly Card[]): Wires {
  const switches = new Map<string, VirtualSwitch>();
  for (const wire of new Set(all.map((card) => card.wire))) {
    const macs = all.filter((card) => card.wire === wire).map(({ mac }) => mac);
    const server = dhcpServer(new Map(macs.map((mac, index) => [mac, firstAddress + index])));
    const one = virtualSwitch((frame) => {
      const answer = server.answer(frame);
      if (answer) one.send(answer);
    });
    switches.set(wire, one);
  }
  let sockets = 0;
  return {
    plug: async (cards) => {
      const ports = await Promise.all(
        cards.map(async ({ wire, mac }) => {
          const port = await switches.get(wire)!.addPort(join(folder, `card${sockets++}`));
          return [mac, port] as const;
        }),
      );
      return {
        socketPaths: new Map(ports.map(([mac, { socketPath }]) => [mac, socketPath])),
        setCables: (areIn) => {
          for (const [, port] of ports) port.setCable(areIn);
        },
      };
    },
    close: async () => {
      for (const each of switches.values()) await each.close();
    },
  };
}
