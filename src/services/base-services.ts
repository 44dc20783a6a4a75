import type { Service } from "../language/service-type.ts";
import { consoles } from "./consoles.ts";
import { dbus } from "./dbus.ts";
import { dhcpNetworking } from "./dhcp-networking.ts";
import { journal } from "./journal.ts";
import { logind } from "./logind.ts";
import { qemuGuestAgent } from "./qemu-guest-agent.ts";
import { udev } from "./udev.ts";

/**
 * What a machine has that does not say otherwise: devices, sessions, journal,
 * consoles, an address from the network, the guest agent.
 */
export const baseServices: readonly Service[] = Object.freeze([
  consoles(),
  dbus(),
  dhcpNetworking(),
  journal(),
  logind(),
  qemuGuestAgent(),
  udev(),
]);
