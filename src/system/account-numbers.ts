import { sha256 } from "../base/hash.ts";

/**
 * The number of a system account by name, forever: what Debian fixes, else the registry below, else `extra` (the
 * operating system's `accountNumbers`). Undefined for a name that none of them knows.
 */
export function accountNumber(
  kind: "user" | "group",
  name: string,
  extra: Readonly<Record<string, number>> = {},
): number | undefined {
  const fixed = kind === "user" ? debianUsers : debianGroups;
  return own(fixed, name) ?? own(registry, name) ?? own(extra, name);
}

/** Who has a number by Debian's word or the registry's, of those that are not `name`. */
export function ownerOfNumber(kind: "user" | "group", number: number): string | undefined {
  return (kind === "user" ? ownersOfUsers : ownersOfGroups).get(number);
}

/** Names of system accounts with a number, for suggestions and checks. */
export function knownAccounts(kind: "user" | "group"): readonly string[] {
  return [...Object.keys(kind === "user" ? debianUsers : debianGroups), ...Object.keys(registry)];
}

/**
 * The number of a person's account that gives none: drawn from the name, so that it is the same in every system
 * without anybody keeping a list. From 10000 to 59999, within what Debian policy 9.2.2 leaves to local accounts.
 */
export function drawnAccountNumber(name: string): number {
  const first = 10000;
  const count = 50000;
  return first + (Number.parseInt(sha256(`account:${name}`).slice(0, 12), 16) % count);
}

/** base-passwd's passwd.master (Debian 12 and 13), and its list of numbers given out globally (60000 to 64999). */
const debianUsers: Readonly<Record<string, number>> = {
  root: 0,
  daemon: 1,
  bin: 2,
  sys: 3,
  sync: 4,
  games: 5,
  man: 6,
  lp: 7,
  mail: 8,
  news: 9,
  uucp: 10,
  proxy: 13,
  "www-data": 33,
  backup: 34,
  list: 38,
  irc: 39,
  _apt: 42,
  asterisk: 64020,
  slurm: 64030,
  hacluster: 64035,
  ceph: 64045,
  "libvirt-qemu": 64055,
  nova: 64060,
  cinder: 64061,
  glance: 64062,
  gnocchi: 64065,
  nobody: 65534,
};

/** base-passwd's group.master. */
const debianGroups: Readonly<Record<string, number>> = {
  root: 0,
  daemon: 1,
  bin: 2,
  sys: 3,
  adm: 4,
  tty: 5,
  disk: 6,
  lp: 7,
  mail: 8,
  news: 9,
  uucp: 10,
  man: 12,
  proxy: 13,
  kmem: 15,
  dialout: 20,
  fax: 21,
  voice: 22,
  cdrom: 24,
  floppy: 25,
  tape: 26,
  sudo: 27,
  audio: 29,
  dip: 30,
  "www-data": 33,
  backup: 34,
  operator: 37,
  list: 38,
  irc: 39,
  src: 40,
  shadow: 42,
  utmp: 43,
  video: 44,
  sasl: 45,
  plugdev: 46,
  staff: 50,
  games: 60,
  users: 100,
  asterisk: 64020,
  slurm: 64030,
  haclient: 64035,
  ceph: 64045,
  "libvirt-qemu": 64055,
  nova: 64060,
  cinder: 64061,
  glance: 64062,
  gnocchi: 64065,
  nogroup: 65534,
};

/**
 * Accounts that Debian packages create with whatever number is free: here each has one, the same for the user and the
 * group of that name. Data volumes carry these numbers, so the list only grows: a line is never changed, moved to
 * another name or taken away; new names are added at the end, with the next number, up to 999.
 */
const registryNames = [
  ...[
    "systemd-journal",
    "systemd-network",
    "systemd-resolve",
    "systemd-timesync",
    "systemd-coredump",
    "systemd-oom",
    "systemd-journal-remote",
  ],
  ...["systemd-journal-upload", "input", "sgx", "kvm", "render", "clock", "messagebus"],
  ...["sshd", "_ssh", "_chrony", "polkitd", "crontab", "netdev", "ssl-cert"],
  ...["tss", "uuidd", "tcpdump", "rdma", "postfix", "postdrop", "Debian-exim"],
  ...["ntpsec", "syslog", "landscape", "fwupd-refresh", "dhcpcd", "_rpc", "statd"],
  ...["munge", "openldap", "nslcd", "sssd", "mysql", "postgres", "redis"],
  ...["memcache", "rabbitmq", "epmd", "influxdb", "grafana", "prometheus", "alertmanager"],
  ...["telegraf", "zabbix", "Debian-snmp", "snmp", "nagios", "icinga", "munin"],
  ...["haproxy", "keepalived_script", "bind", "unbound", "dnsmasq", "_dnsdist", "pdns"],
  ...["nginx", "_squid", "varnish", "vcache", "tomcat", "clamav", "opendkim"],
  ...["opendmarc", "dovecot", "dovenull", "vmail", "proftpd", "ftp", "tftp"],
  ...["avahi", "avahi-autoipd", "colord", "rtkit", "pulse", "pulse-access", "saned"],
  ...["scanner", "lpadmin", "geoclue", "lightdm", "gdm", "sddm", "strongswan"],
  ...["freerad", "frr", "frrvty", "quagga", "openvpn", "nm-openvpn", "wireshark"],
  ...["docker", "containerd", "libvirt", "lxd", "libvirt-dnsmasq", "swtpm", "_apparmor"],
  ...["fuse", "bluetooth", "i2c", "gpio", "spi", "gluster", "gitea"],
  ...["gitlab-runner", "git", "gitolite3", "_gvm", "elasticsearch", "kibana", "logstash"],
  ...["loki", "etcd", "consul", "nomad", "vault", "minio", "cassandra"],
  ...["mongodb", "couchdb", "solr", "jenkins", "puppet", "salt", "_rsyncd"],
  ...["_lldpd", "lldpd", "ganglia", "collectd", "graphite", "carbon", "statsd"],
  ...["mosquitto", "kea", "_kea", "dhcpd", "radvd", "nut", "apcupsd"],
  ...["smmsp", "smmta", "mailman", "sympa", "rspamd", "_rspamd", "debian-spamd"],
  ...["postgrey", "policyd-spf", "amavis", "ulog", "pcp", "stunnel4", "tor"],
  ...["debian-tor", "i2psvc", "ntp", "openntpd", "ntpd", "gpsd", "ptp"],
  ...["linuxptp", "_tftpd", "_nfs", "gssproxy", "krb5kdc", "sbuild", "buildd"],
  ...["pbuilder", "mlocate", "plocate", "ssh-tunnel", "iperf3", "slurmrestd", "pmix"],
  ...["opensm", "pacemaker", "corosync", "ocsinventory", "glpi", "warewulf"],
  ...["caddy", "apt-cacher-ng", "sambashare", "nbd"],
];

const firstRegistryNumber = 101;

const registry: Readonly<Record<string, number>> = Object.fromEntries(
  registryNames.map((name, index) => [name, firstRegistryNumber + index]),
);

const ownersOfUsers = owners(debianUsers);
const ownersOfGroups = owners(debianGroups);

function owners(fixed: Readonly<Record<string, number>>): ReadonlyMap<number, string> {
  return new Map([...Object.entries(fixed), ...Object.entries(registry)].map(([name, number]) => [number, name]));
}

function own(table: Readonly<Record<string, number>>, name: string): number | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
