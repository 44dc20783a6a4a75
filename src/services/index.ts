/** The catalogue of services: what programs import from `mesoforge/services`. */

export { type Administrator, type AdministratorsOptions, administrators } from "./administrators.ts";
export { type AptCacherNgOptions, aptCacherNg, type CachedRepository } from "./apt-cacher-ng.ts";
export { type AutofsEntry, type AutofsMap, type AutofsOptions, autofs } from "./autofs.ts";
export { type BastionOptions, bastion } from "./bastion.ts";
export { type Bind9Options, bind9, type SecondaryZone } from "./bind9.ts";
export { type CaddyLocation, type CaddyOptions, type CaddySite, caddy } from "./caddy.ts";
export { type CephFolder, type CephImage, type CephMountsOptions, cephMounts } from "./ceph-mounts.ts";
export { type ChronyOptions, chrony } from "./chrony.ts";
export { type ConsolesOptions, consoles } from "./consoles.ts";
export { dbus } from "./dbus.ts";
export { type DhcpNetworkingOptions, dhcpNetworking } from "./dhcp-networking.ts";
export { type FirewallOptions, firewall, type Opening, openPort, openProtocol } from "./firewall.ts";
export { type GitConfigOptions, type GitConfigPart, gitConfig, gitConfigPlace, withGitConfig } from "./git-config.ts";
export { type BalancedPort, type HaproxyOptions, haproxy } from "./haproxy.ts";
export { type HardeningOptions, hardening } from "./hardening.ts";
export { ldapHosts, type ZabbixHostOptions, zabbixHosts } from "./host-lists.ts";
export { type IpvsOptions, ipvs, type VirtualServer } from "./ipvs.ts";
export { type JournalOptions, journal } from "./journal.ts";
export { type JournalRemoteOptions, type JournalTls, journalRemote } from "./journal-remote.ts";
export { type JournalUploadOptions, journalUpload } from "./journal-upload.ts";
export { type FloatingAddresses, type KeepalivedOptions, keepalived } from "./keepalived.ts";
export {
  type LdapEntry,
  type LdapGroup,
  type LdapPerson,
  ldapGroup,
  ldapPerson,
  organizationalUnit,
} from "./ldap-entries.ts";
export { type LogindOptions, logind } from "./logind.ts";
export { type LogRotation, type LogrotateOptions, logrotate } from "./logrotate.ts";
export { type LvmOptions, lvm } from "./lvm.ts";
export { type MailRelayOptions, mailRelay } from "./mail-relay.ts";
export { type MariadbDatabase, type MariadbGrant, type MariadbOptions, type MariadbUser, mariadb } from "./mariadb.ts";
export { type MdArray, type MdadmOptions, mdadm } from "./mdadm.ts";
export { type MungeOptions, munge } from "./munge.ts";
export { type NetworkdOptions, type NetworkWish, networkd } from "./networkd.ts";
export { type NfsClientOptions, type NfsMount, nfsClient } from "./nfs-client.ts";
export { type NfsClients, type NfsExport, type NfsServerOptions, nfsServer } from "./nfs-server.ts";
export { type NginxLocation, type NginxOptions, type NginxSite, nginx } from "./nginx.ts";
export { type NodeExporterOptions, nodeExporter } from "./node-exporter.ts";
export { type NscdOptions, nscd } from "./nscd.ts";
export { type NslcdOptions, nslcd } from "./nslcd.ts";
export { type OpensshOptions, openssh, type SshdPart } from "./openssh.ts";
export { type PodmanContainer, type PodmanOptions, podman } from "./podman.ts";
export {
  type PostgresqlAttribute,
  type PostgresqlBackups,
  type PostgresqlDatabase,
  type PostgresqlOptions,
  type PostgresqlPrimary,
  type PostgresqlRole,
  type PostgresqlStandby,
  postgresql,
} from "./postgresql.ts";
export { qemuGuestAgent } from "./qemu-guest-agent.ts";
export { type QuotaLimit, type QuotasOptions, quotas } from "./quotas.ts";
export { type RsyslogOptions, type RsyslogTarget, rsyslog } from "./rsyslog.ts";
export { type LdapProvider, type SlapdOptions, slapd } from "./slapd.ts";
export { type SlurmOptions, slurm } from "./slurm.ts";
export {
  type SlurmCluster,
  type SlurmClusterOptions,
  type SlurmEnforcement,
  type SlurmHardware,
  type SlurmHost,
  type SlurmNode,
  type SlurmPartition,
  slurmCluster,
  slurmNodes,
} from "./slurm-cluster.ts";
export { type SlurmLoginOptions, slurmLogin } from "./slurm-login.ts";
export { type SlurmctldOptions, slurmctld } from "./slurmctld.ts";
export { type SlurmdOptions, slurmd } from "./slurmd.ts";
export { type SlurmDatabase, type SlurmdbdOptions, type SlurmRecords, slurmdbd } from "./slurmdbd.ts";
export { type SlurmrestdOptions, slurmrestd } from "./slurmrestd.ts";
export { type SquidOptions, squid } from "./squid.ts";
export { type SssdOptions, sssd } from "./sssd.ts";
export { type StateFolder, type StateOptions, type StateVolume, state, stateFolder, withStateVolume } from "./state.ts";
export { type StaticInterface, staticNetworking } from "./static-networking.ts";
export { type SwapFile, type SwapOptions, swap } from "./swap.ts";
export { type TimerOptions, timer } from "./timer.ts";
export {
  debugTools,
  type SerialConsoleOptions,
  type Transformer,
  withDebugTools,
  withHardening,
  withHostName,
  withIpvs,
  withKeepalived,
  without,
  withoutDaemonSocket,
  withPackages,
  withSerialConsole,
  withServices,
} from "./transformers.ts";
export { type UdevOptions, udev } from "./udev.ts";
export { type ForwardZone, type UnboundOptions, unbound } from "./unbound.ts";
export { type SudoRule, type UsersOptions, users } from "./users.ts";
export { type ZabbixAgentOptions, type ZabbixKey, zabbixAgent } from "./zabbix-agent.ts";
export { type ZabbixFrontendOptions, zabbixFrontend } from "./zabbix-frontend.ts";
export { type ZabbixDatabase, type ZabbixServerOptions, zabbixServer } from "./zabbix-server.ts";
export { hostZone, reverseZone, reverseZones, type Zone, type ZoneAuthority } from "./zone.ts";
