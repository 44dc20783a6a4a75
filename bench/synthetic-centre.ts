import {
  baseFileSystems,
  basePackages,
  baseServices,
  debian,
  fileSystem,
  inherit,
  label,
  type OperatingSystem,
  operatingSystem,
} from "../src/index.ts";
import { administrators, chrony, openssh, rsyslog, staticNetworking } from "../src/services/index.ts";

/**
 * A computing centre of 94 machines, as large and as mixed as the one that this project was thought out for: what its
 * machines do, how many do it, and Debian's packages for it. By path.
 */
export function syntheticCentre(): ReadonlyMap<string, OperatingSystem> {
  const machines = new Map<string, OperatingSystem>();
  for (const { path, count, packages } of roles) {
    const role = inherit(template, { packages: [...basePackages, ...packages.map((name) => debian(name))] });
    for (let i = 1; i <= count; i++) {
      const number = machines.size + 1;
      const machine = `${path}-${String(i).padStart(3, "0")}`;
      machines.set(
        machine,
        inherit(role, (os) => named(os, machine.replaceAll("/", "-"), number)),
      );
    }
  }
  return machines;
}

function named({ services }: OperatingSystem, hostName: string, number: number) {
  const address = `10.50.${Math.floor(number / 250)}.${(number % 250) + 1}/16`;
  return {
    hostName,
    services: [...services, staticNetworking({ eth0: { addresses: [address], gateway: "10.50.255.254" } })],
  };
}

const template = operatingSystem({
  hostName: "template",
  timezone: "Europe/Paris",
  fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" }), ...baseFileSystems],
  kernelArguments: ["console=tty0", "console=ttyS0,115200"],
  services: [
    ...baseServices,
    openssh(),
    chrony(),
    rsyslog(),
    administrators({
      people: ["alice", "bob", "carol"].map((name) => ({
        name,
        authorizedKeys: [
          `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1lc29mb3JnZSBleGFtcGxlIGtleSwgbm90IHVzZWQgYW55 ${name}`,
        ],
      })),
    }),
  ],
});

interface Role {
  readonly path: string;
  readonly count: number;
  readonly packages: readonly string[];
}

const roles: readonly Role[] = [
  { path: "net/dns", count: 3, packages: ["dnsmasq"] },
  { path: "net/gate", count: 4, packages: ["haproxy", "keepalived"] },
  { path: "net/proxy", count: 4, packages: ["squid"] },
  { path: "net/mail", count: 2, packages: ["postfix"] },
  { path: "auth/ldap", count: 3, packages: ["slapd", "ldap-utils"] },
  { path: "db/mariadb", count: 4, packages: ["mariadb-server"] },
  { path: "db/postgres", count: 4, packages: ["postgresql"] },
  { path: "queue/rabbit", count: 3, packages: ["rabbitmq-server"] },
  { path: "web/front", count: 8, packages: ["nginx"] },
  { path: "web/app", count: 10, packages: ["apache2", "python3"] },
  { path: "monitor/node", count: 3, packages: ["prometheus"] },
  { path: "store/nfs", count: 4, packages: ["nfs-common", "autofs"] },
  { path: "store/ceph", count: 6, packages: ["ceph-common"] },
  { path: "slurm/ctld", count: 2, packages: ["slurmctld", "munge"] },
  { path: "slurm/dbd", count: 2, packages: ["slurmdbd", "munge"] },
  { path: "slurm/worker", count: 20, packages: ["slurmd", "munge", "nfs-common"] },
  { path: "slurm/login", count: 8, packages: ["slurm-client", "munge", "vim", "git", "tmux", "python3", "nslcd"] },
  { path: "dev/build", count: 4, packages: ["gcc", "make", "git", "python3"] },
];
