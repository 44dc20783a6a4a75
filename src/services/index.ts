/** The catalogue of services: what programs import from `mesoforge/services`. */

export { type Administrator, type AdministratorsOptions, administrators } from "./administrators.ts";
export { type Bind9Options, bind9, type SecondaryZone } from "./bind9.ts";
export { type ChronyOptions, chrony } from "./chrony.ts";
export { type ConsolesOptions, consoles } from "./consoles.ts";
export { dbus } from "./dbus.ts";
export { type DhcpNetworkingOptions, dhcpNetworking } from "./dhcp-networking.ts";
export { type FirewallOptions, firewall, type Opening, openPort, openProtocol } from "./firewall.ts";
export { type BalancedPort, type HaproxyOptions, haproxy } from "./haproxy.ts";
export { type HardeningOptions, hardening } from "./hardening.ts";
export { type JournalOptions, journal } from "./journal.ts";
export { type FloatingAddresses, type KeepalivedOptions, keepalived } from "./keepalived.ts";
export { type LogindOptions, logind } from "./logind.ts";
export { type NetworkdOptions, type NetworkWish, networkd } from "./networkd.ts";
export { type NginxLocation, type NginxOptions, type NginxSite, nginx } from "./nginx.ts";
export { type OpensshOptions, openssh } from "./openssh.ts";
export { qemuGuestAgent } from "./qemu-guest-agent.ts";
export { type RsyslogOptions, type RsyslogTarget, rsyslog } from "./rsyslog.ts";
export { type SquidOptions, squid } from "./squid.ts";
export { type StateFolder, type StateOptions, state, stateFolder } from "./state.ts";
export { type StaticInterface, staticNetworking } from "./static-networking.ts";
export {
  debugTools,
  type SerialConsoleOptions,
  type Transformer,
  withDebugTools,
  withHardening,
  withHostName,
  withKeepalived,
  without,
  withoutDaemonSocket,
  withPackages,
  withSerialConsole,
  withServices,
} from "./transformers.ts";
export { type UdevOptions, udev } from "./udev.ts";
export { type ForwardZone, type UnboundOptions, unbound } from "./unbound.ts";
export { hostZone, reverseZone, reverseZones, type Zone, type ZoneAuthority } from "./zone.ts";
