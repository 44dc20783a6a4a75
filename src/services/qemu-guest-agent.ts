import { extend, serviceType } from "../language/service-type.ts";
import { profile } from "../system/essential-profile.ts";

/** The hypervisor's ear inside the machine: graceful shutdown, checks, file-system freezes. */
export const qemuGuestAgent = serviceType({
  name: "qemu-guest-agent",
  description:
    "QEMU's guest agent. Started by udev when the hypervisor offers its channel, so it is harmless on other machines.",
  options: {},
  defaults: {},
  extensions: [extend(profile, () => ["qemu-guest-agent"])],
});
