import { failure } from "../base/error.ts";
import { sha256 } from "../base/hash.ts";
import { parseSize } from "../base/size.ts";
import type { Machine } from "../language/centre.ts";
import type { OperatingSystem } from "../language/operating-system.ts";
import { factsOf } from "../language/record.ts";

/** A machine for a test: what a centre says of it, or less. */
export interface TestMachine {
  readonly os: OperatingSystem;
  /** Default: 1 emulated, 2 else. */
  readonly cores?: number;
  /** Default: `"512MiB"`. */
  readonly memory?: string;
  /** Default: `"bios"`, where the architecture has one. */
  readonly firmware?: "bios" | "uefi";
  /** Empty disks by name, which is their serial: `{ state: "1GiB" }`. */
  readonly volumes?: Readonly<Record<string, string>>;
  /** Values of the secrets that its services need, by name: `{ "munge-key": "…" }`. */
  readonly secrets?: Readonly<Record<string, string>>;
  /**
   * What its network cards are plugged into, eth0 first. `internet` is QEMU's own network, with an address by DHCP and
   * the outside behind it; every other name is a wire between the machines that name it. Default: `["lan"]`.
   */
  readonly cards?: readonly string[];
  /** A further card, on which `ssh` reaches the machine from this host. */
  readonly ssh?: boolean;
}

/** The same with nothing left open. */
export interface DescribedMachine {
  readonly os: OperatingSystem;
  readonly cores?: number;
  readonly memoryMebibytes: number;
  readonly firmware: "bios" | "uefi";
  /** Bytes, by serial. */
  readonly volumes: ReadonlyMap<string, number>;
  readonly secrets: Readonly<Record<string, string>>;
  readonly cards: readonly { readonly wire: string; readonly mac: string }[];
  readonly ssh: boolean;
}

/** The wire that leads outside. */
export const outside = "internet";

/**
 * @param given an operating system, a machine of a centre (`machine({ … })`), or a `TestMachine`
 * @throws MesoError `not-a-machine`.
 */
export function describeMachine(name: string, given: OperatingSystem | Machine | TestMachine): DescribedMachine {
  const kind = factsOf(given)?.kind;
  if (kind === "operatingSystem") return fromTest(name, { os: given as OperatingSystem });
  if (kind === "machine") return fromCentre(name, given as Machine);
  const { os } = given as TestMachine;
  if (factsOf(os)?.kind === "operatingSystem") return fromTest(name, given as TestMachine);
  throw failure("not-a-machine", `${name} is no machine`, {
    expected: "an operating system, a machine of a centre, or { os: operatingSystem({ … }), … }",
  });
}

function fromTest(name: string, given: TestMachine): DescribedMachine {
  const cards = given.cards ?? ["lan"];
  return {
    os: given.os,
    ...(given.cores !== undefined && { cores: given.cores }),
    memoryMebibytes: mebibytes(given.memory ?? "512MiB"),
    firmware: given.firmware ?? usualFirmware(given.os),
    volumes: new Map(Object.entries(given.volumes ?? {}).map(([serial, size]) => [serial, parseSize(size)])),
    secrets: given.secrets ?? {},
    cards: cards.map((wire, index) => ({ wire, mac: macOf(name, index) })),
    ssh: given.ssh ?? false,
  };
}

/** Wires are what the centre calls networks, one for each VLAN; plain QEMU's own one leads outside there too. */
function fromCentre(name: string, { os, cores, memory, firmware, volumes, nics }: Machine): DescribedMachine {
  return {
    ...{ os, cores, firmware, ssh: false, memoryMebibytes: mebibytes(memory) },
    volumes: new Map(Object.entries(volumes).map(([serial, { size }]) => [serial, parseSize(size)])),
    secrets: {},
    cards: nics.map(({ network, mac, tag }, index) => ({
      wire: network === "user" ? outside : `${network}${tag === undefined ? "" : `.${tag}`}`,
      mac: mac?.toLowerCase() ?? macOf(name, index),
    })),
  };
}

function usualFirmware({ architecture }: OperatingSystem): "bios" | "uefi" {
  return architecture === "amd64" ? "bios" : "uefi";
}

function mebibytes(size: string): number {
  return Math.ceil(parseSize(size) / 2 ** 20);
}

/** The same in every run. 52:54 is for locally administered ones. */
export function macOf(name: string, card: number): string {
  const digits = sha256(`test machine ${name}#${card}`).slice(0, 8);
  return `52:54:${digits.match(/../g)!.join(":")}`;
}
