import { userAccount } from "../language/account.ts";
import { endpoint, port } from "../language/endpoint.ts";
import { inventory } from "../language/inventory.ts";
import { network } from "../language/network.ts";
import { secret } from "../language/secret.ts";
import type { Service } from "../language/service-type.ts";
import {
  administrators,
  aptCacherNg,
  autofs,
  bastion,
  bind9,
  caddy,
  cephMounts,
  chrony,
  consoles,
  dbus,
  dhcpNetworking,
  firewall,
  gitConfig,
  haproxy,
  hardening,
  hostZone,
  ipvs,
  journal,
  journalRemote,
  journalUpload,
  keepalived,
  ldapGroup,
  ldapPerson,
  logind,
  logrotate,
  lvm,
  mailRelay,
  mariadb,
  mdadm,
  munge,
  networkd,
  nfsClient,
  nfsServer,
  nginx,
  nodeExporter,
  nscd,
  nslcd,
  openssh,
  organizationalUnit,
  podman,
  postgresql,
  qemuGuestAgent,
  quotas,
  rsyslog,
  slapd,
  slurm,
  slurmCluster,
  slurmctld,
  slurmd,
  slurmdbd,
  slurmLogin,
  slurmNodes,
  slurmrestd,
  squid,
  sssd,
  state,
  staticNetworking,
  swap,
  timer,
  udev,
  unbound,
  users,
  zabbixAgent,
  zabbixFrontend,
  zabbixServer,
} from "./index.ts";

/** The site of the examples, as a program of its own would describe it. */
const cluster = network({ name: "cluster", range: "10.50.0.0/16", gateway: "10.50.255.254", domain: "example.org" });
const site = inventory({
  domain: "example.org",
  networks: { cluster },
  machines: {
    gate: { cluster: "10.50.0.1" },
    ldap: { cluster: "10.50.0.2" },
    files: { cluster: "10.50.0.3" },
    db: { cluster: "10.50.0.4" },
    watch: { cluster: "10.50.0.5" },
    slurm: { cluster: "10.50.0.6" },
    "web-1": { cluster: "10.50.1.1" },
    "web-2": { cluster: "10.50.1.2" },
    "cn-1": { cluster: "10.50.2.1" },
    "cn-2": { cluster: "10.50.2.2" },
  },
});
const { hosts } = site;
/** Of a pair whose other half is thrown away. */
const aliceKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKpB+OuKg078RQom+b+XGvLpWeKSoLVfql1O1RuXiE0r alice";
const base = "dc=example,dc=org";
const waves = slurmCluster({
  name: "waves",
  controllers: [endpoint("slurmctld", hosts.slurm)],
  accounting: endpoint("slurmdbd", hosts.slurm),
  nodes: slurmNodes([hosts["cn-1"], hosts["cn-2"]], { cpus: 64, memory: "250GiB" }),
  partitions: [{ name: "standard", nodes: "all", isDefault: true }],
  tokens: true,
});

/** One use of each service type of the catalogue, by the type's name. Documentation shows them as they stand here. */
export const serviceExamples: Readonly<Record<string, () => Service>> = {
  administrators: () => administrators({ people: [{ name: "alice", authorizedKeys: [aliceKey] }], sudo: "password" }),
  "apt-cacher-ng": () =>
    aptCacherNg({
      clients: ["10.50.0.0/16"],
      repositories: [{ name: "debian", from: ["http://mirror.example.org/debian"] }],
      onlyRepositories: true,
    }),
  autofs: () =>
    autofs({
      maps: [{ mountPoint: "/home", entries: [{ key: "*", location: "files.example.org:/srv/home/&" }] }],
    }),
  bastion: () => bastion({ passengers: ["students"], operators: ["staff"], targets: [endpoint("ssh", hosts.slurm)] }),
  bind9: () =>
    bind9({ zones: [hostZone(site, { nameServers: [hosts.gate] }, ["@ MX 10 gate"])], recursionFor: ["10.50.0.0/16"] }),
  caddy: () =>
    caddy({
      sites: [
        { addresses: ["www.example.org"], locations: [{ path: "/", proxyTo: [endpoint("http", hosts["web-1"])] }] },
      ],
      email: "ops@example.org",
    }),
  "ceph-mounts": () =>
    cephMounts({
      clusterId: "b7d2ea3e-6c50-4d3f-9d1a-2f6a6d0e8f11",
      monitors: ["10.50.1.1", "10.50.1.2", "10.50.1.3"],
      user: "homes",
      key: secret("ceph-homes"),
      folders: [{ path: "/homes", at: "/home" }],
    }),
  chrony: () => chrony({ servers: ["ntp.example.org"], allow: ["10.50.0.0/16"] }),
  consoles: () => consoles({ serialPorts: ["ttyS0"] }),
  dbus: () => dbus(),
  "dhcp-networking": () => dhcpNetworking({ interfaces: ["eth0"], ipv6: false }),
  firewall: () => firewall({ policy: "closed", trusted: [hosts.gate.address] }),
  "git-config": () =>
    gitConfig({
      name: "sites",
      repository: "https://git.example.org/sites.git",
      branch: "main",
      token: { user: "web-1", secret: secret("sites-token") },
      parts: [{ path: "nginx", check: "nginx -t", units: ["nginx.service"] }],
    }),
  haproxy: () =>
    haproxy({
      ports: [
        {
          name: "web",
          port: 80,
          mode: "http",
          healthPath: "/",
          servers: [endpoint("http", hosts["web-1"]), endpoint("http", hosts["web-2"])],
        },
      ],
      statisticsPort: 8404,
    }),
  hardening: () => hardening({ level: "strict" }),
  ipvs: () =>
    ipvs({
      virtualServers: [
        {
          address: "10.50.0.100",
          port: 80,
          scheduler: "wlc",
          healthy: { path: "/" },
          servers: [endpoint("http", hosts["web-1"]), { server: endpoint("http", hosts["web-2"]), weight: 2 }],
        },
      ],
    }),
  journal: () => journal({ storage: "persistent", maximumUse: "1G" }),
  "journal-remote": () => journalRemote({ clients: ["10.50.0.0/16"] }),
  "journal-upload": () => journalUpload({ to: endpoint("journal-remote", hosts.watch) }),
  keepalived: () =>
    keepalived({
      floating: [
        {
          name: "web",
          router: 51,
          interface: "eth0",
          addresses: ["10.50.0.100/16"],
          priority: 150,
          self: hosts["web-1"].address,
          peers: [hosts["web-2"].address],
          healthy: "systemctl is-active --quiet haproxy",
        },
      ],
    }),
  logind: () => logind({ killUserProcesses: true }),
  logrotate: () =>
    logrotate({ rotations: [{ name: "tick", files: ["/var/log/tick.log"], frequency: "daily", keep: 7 }] }),
  lvm: () => lvm({ groups: ["data"], settings: { "devices/issue_discards": 1 } }),
  "mail-relay": () =>
    mailRelay({ to: endpoint("smtp", hosts.gate), domain: "example.org", administrator: "ops@example.org" }),
  mariadb: () =>
    mariadb({
      databases: [{ name: "site" }],
      users: [{ name: "site", host: "10.50.%", password: secret("site-db"), grants: [{ database: "site" }] }],
      listenAddresses: ["0.0.0.0"],
      allow: ["10.50.0.0/16"],
    }),
  mdadm: () =>
    mdadm({ arrays: [{ name: "scratch", uuid: "1ea2f4b7:0c3d9e5f:7b8a6c1d:2f4e6a8c" }], mailTo: "ops@example.org" }),
  munge: () => munge({ key: secret("munge") }),
  networkd: () => networkd({ interfaceNames: "kernel" }),
  "nfs-client": () =>
    nfsClient({ mounts: [{ server: endpoint("nfs", hosts.files), path: "/srv/scratch", at: "/scratch" }] }),
  "nfs-server": () =>
    nfsServer({ exports: [{ path: "/srv/scratch", clients: [{ from: "10.50.0.0/16" }], folder: { mode: 0o1777 } }] }),
  nginx: () =>
    nginx({
      sites: [
        {
          names: ["www.example.org"],
          locations: [
            { path: "/", root: "/srv/www" },
            { path: "/api/", proxyTo: [endpoint("http", hosts["web-2"], { port: port("http", 8080) })] },
          ],
        },
      ],
    }),
  "node-exporter": () => nodeExporter({ scrapers: [hosts.watch.address], collectors: ["systemd"] }),
  nscd: () => nscd({ seconds: 600 }),
  nslcd: () =>
    nslcd({
      servers: [endpoint("ldap", hosts.ldap)],
      base,
      bind: { dn: `cn=machines,${base}`, password: secret("ldap-machines") },
    }),
  openssh: () => openssh({ port: 2222, passwordAuthentication: false, allowGroups: ["staff"] }),
  podman: () =>
    podman({
      containers: [
        { name: "wiki", image: "registry.example.org/wiki:1.4", ports: [3000], folders: { "/data": "/srv/wiki" } },
      ],
    }),
  postgresql: () =>
    postgresql({
      databases: [{ name: "site", owner: "site", extensions: ["pg_trgm"] }],
      roles: [{ name: "site", password: secret("site-db"), from: ["10.50.0.0/16"] }],
      listenAddresses: ["*"],
      backups: { at: "02:30", kind: "dump", keep: 7 },
    }),
  "qemu-guest-agent": () => qemuGuestAgent(),
  quotas: () => quotas({ limits: [{ group: "students", mountPoint: "/home", space: "50GiB" }] }),
  rsyslog: () => rsyslog({ forwardTo: [{ host: hosts.watch.address, protocol: "tcp" }] }),
  slapd: () =>
    slapd({
      suffix: base,
      rootPassword: secret("ldap-admin"),
      tree: [
        organizationalUnit("people", base),
        ldapPerson({ name: "alice", uid: 20100, sshKeys: [aliceKey] }, `ou=people,${base}`),
        ldapGroup({ name: "staff", gid: 20001, members: ["alice"] }, base),
      ],
      tls: { certificate: "/etc/ldap/tls/certificate.pem", key: "/etc/ldap/tls/key.pem" },
      replicas: { password: secret("ldap-replicas") },
    }),
  slurm: () => slurm({ clusters: [waves] }),
  "slurm-login": () => slurmLogin({ cluster: waves }),
  slurmctld: () => slurmctld({ cluster: waves, tokenKey: secret("slurm-tokens"), allow: ["10.50.0.0/16"] }),
  slurmd: () => slurmd({ cluster: waves }),
  slurmdbd: () =>
    slurmdbd({
      database: { server: endpoint("mysql", hosts.db), password: secret("slurmdbd") },
      purge: { jobs: "24months", steps: "6months" },
    }),
  slurmrestd: () => slurmrestd({ cluster: waves }),
  squid: () => squid({ clients: ["10.50.0.0/16"], allowedSites: [".debian.org", "github.com"] }),
  sssd: () =>
    sssd({
      servers: [endpoint("ldaps", hosts.ldap)],
      base,
      authority: "/etc/ssl/certs/ldap.pem",
      allowGroups: ["staff"],
    }),
  state: () =>
    state({
      disk: "state",
      size: "4GiB",
      volumes: { home: { size: "20GiB", fileSystem: "xfs", mountPoint: "/home" } },
    }),
  "static-networking": () => staticNetworking({ eth0: hosts["web-1"].on("cluster") }),
  swap: () => swap({ files: [{ path: "/swapfile", size: "4GiB" }], swappiness: 10 }),
  timer: () => timer({ name: "tick", onCalendar: "02:30", command: "date >> /var/log/tick.log", spread: "10min" }),
  udev: () => udev({ rules: ['SUBSYSTEM=="net", ACTION=="add", ATTR{address}=="52:54:00:00:00:01", NAME="lan0"'] }),
  unbound: () =>
    unbound({
      allow: ["10.50.0.0/16"],
      forwardZones: [{ name: "example.org", servers: [endpoint("dns", hosts.gate)], unsigned: true }],
    }),
  users: () =>
    users({
      groups: ["operators"],
      people: [userAccount({ name: "alice", supplementaryGroups: ["operators"], authorizedKeys: [aliceKey] })],
      sudo: [{ group: "operators", commands: ["/usr/bin/systemctl restart slurmd"], password: false }],
    }),
  "zabbix-agent": () =>
    zabbixAgent({
      servers: [endpoint("zabbix-server", hosts.watch)],
      key: { identity: "site", secret: secret("zabbix-agents") },
      items: { "queue.length": "squeue --noheader | wc -l" },
    }),
  "zabbix-frontend": () => zabbixFrontend({ database: { kind: "postgresql" }, title: "Example centre" }),
  "zabbix-server": () =>
    zabbixServer({ database: { kind: "postgresql" }, administratorPassword: secret("zabbix-admin") }),
};
