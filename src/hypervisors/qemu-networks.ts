import { failure } from "../base/error.ts";

/** What a network card of a machine is plugged into. */
export type QemuNetwork =
  | {
      /** QEMU's own: addresses by DHCP, the outside through this host, nobody reaches in but by `forwards`. */
      readonly kind: "user";
      /** Port of the host's loopback → port of the machine. */
      readonly forwards?: Readonly<Record<number, number>>;
      /** Nothing goes out, not even to the host. */
      readonly isRestricted?: boolean;
    }
  /** A switch that listens on a unix socket; each frame comes after its length (four bytes, big-endian). */
  | { readonly kind: "switch"; readonly socketPath: string }
  /** All machines of this host that name the same group share a wire. */
  | { readonly kind: "multicast"; readonly group: string; readonly port: number };

export interface QemuNic {
  readonly network: QemuNetwork;
  /** Default: QEMU's, by the place in the list. */
  readonly mac?: string;
}

/** QEMU's arguments for network cards: the first is eth0. @throws MesoError `invalid-setting`. */
export function networkArguments(nics: readonly QemuNic[]): string[] {
  return nics.flatMap(({ network, mac }, index) => [
    "-netdev",
    backend(network, `net${index}`),
    "-device",
    // No start from the network, so no ROM for it.
    JSON.stringify({
      driver: "virtio-net-pci",
      netdev: `net${index}`,
      romfile: "",
      ...(mac !== undefined && { mac: checkedMac(mac) }),
    }),
  ]);
}

function backend(network: QemuNetwork, id: string): string {
  switch (network.kind) {
    case "user": {
      const forwards = Object.entries(network.forwards ?? {}).map(([here, there]) => forward(Number(here), there));
      return [`user,id=${id}`, ...(network.isRestricted ? ["restrict=on"] : []), ...forwards].join(",");
    }
    case "switch":
      return `stream,id=${id},server=off,addr.type=unix,addr.path=${network.socketPath.replaceAll(",", ",,")}`;
    default:
      return `socket,id=${id},mcast=${network.group}:${network.port},localaddr=127.0.0.1`;
  }
}

function forward(here: number, there: number): string {
  const isPort = (port: number) => Number.isInteger(port) && port >= 1 && port <= 65535;
  if (isPort(here) && isPort(there)) return `hostfwd=tcp:127.0.0.1:${here}-:${there}`;
  throw failure("invalid-setting", `cannot forward port ${here} to ${there}`, { expected: "ports from 1 to 65535" });
}

/** @throws MesoError `invalid-setting`. */
function checkedMac(mac: string): string {
  // The lowest bit of the first byte is for groups, which no card may be.
  if (/^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/i.test(mac)) return mac;
  throw failure("invalid-setting", `${JSON.stringify(mac)} is no card's address`, { expected: "52:54:00:12:34:56" });
}
