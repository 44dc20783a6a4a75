import { extend, serviceType } from "../language/service-type.ts";
import { checks, profile, unitActive } from "../system/essential-profile.ts";

/** The message bus that systemd's own services talk over. */
export const dbus = serviceType({
  name: "dbus",
  description: "The system's message bus. logind, networkd's and resolved's tools need it.",
  options: {},
  defaults: {},
  extensions: [extend(profile, () => ["dbus"]), extend(checks, () => [unitActive("dbus.socket")])],
});
