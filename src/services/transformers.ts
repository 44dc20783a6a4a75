import { failure } from "../base/error.ts";
import { callerLocation, type SourceLocation } from "../base/location.ts";
import { nearestHint } from "../base/nearest.ts";
import { inheritAt } from "../language/inherit.ts";
import type { OperatingSystem } from "../language/operating-system.ts";
import { type PackageWish, packageName } from "../language/package-reference.ts";
import { locationOf } from "../language/record.ts";
import type { AnyServiceType, Service } from "../language/service-type.ts";
import { serviceOf, simpleService } from "../language/service-type.ts";
import { maskUnit, systemdUnits } from "../system/essential-units.ts";
import { consoles } from "./consoles.ts";
import { firewall } from "./firewall.ts";
import { type HardeningOptions, hardening } from "./hardening.ts";
import { type IpvsOptions, ipvs } from "./ipvs.ts";
import { type KeepalivedOptions, keepalived } from "./keepalived.ts";
import { openssh } from "./openssh.ts";

/** From one operating system to another: `pipe(base, withSerialConsole(), withDebugTools())`. */
export type Transformer = (os: OperatingSystem) => OperatingSystem;

/** The system under another name. */
export function withHostName(hostName: string): Transformer {
  const where = callerLocation(withHostName);
  return (os) => inheritAt(os, () => ({ hostName }), where);
}

/** With further packages. */
export function withPackages(...packages: readonly PackageWish[]): Transformer {
  const where = callerLocation(withPackages);
  return (os) => inheritAt(os, (old) => ({ packages: united(old.packages, packages) }), where);
}

/** With further services; one takes the place of a service of the same name that is there already. */
export function withServices(...services: readonly Service[]): Transformer {
  const where = callerLocation(withServices);
  return (os) => inheritAt(os, (old) => ({ services: replaced(old.services, services) }), where);
}

/**
 * Without the services of a type.
 *
 * @throws MesoError `no-such-service` when the system lists none.
 */
export function without(...types: readonly AnyServiceType[]): Transformer {
  const where = callerLocation(without);
  return (os) => {
    for (const type of types) if (!os.services.some((one) => one.type === type)) throw nothingToTake(type, os, where);
    return inheritAt(os, (old) => ({ services: old.services.filter(({ type }) => !types.includes(type)) }), where);
  };
}

/**
 * Without the sockets on which systemd would start a daemon that a package brings: `withoutDaemonSocket("rpcbind")`.
 * They are masked, so that nothing starts them. Sockets are named with or without their `.socket`.
 */
export function withoutDaemonSocket(...daemons: readonly string[]): Transformer {
  const where = callerLocation(withoutDaemonSocket);
  return (os) => {
    const masks = daemons.map((name) => {
      const bare = name.replace(/\.socket$/, "");
      return serviceAs(
        simpleService(`without-${bare.toLowerCase().replace(/[^a-z0-9]+/g, "-")}-socket`, systemdUnits, [
          maskUnit(`${bare}.socket`),
        ]),
        where,
      );
    });
    return inheritAt(os, (old) => ({ services: replaced(old.services, masks) }), where);
  };
}

export interface SerialConsoleOptions {
  /** Default: ttyS0, what QEMU, libvirt and Proxmox show. */
  readonly port?: string;
  /** Bits per second. */
  readonly speed?: number;
}

/** With the kernel's messages and a login prompt on a serial line, and on the screen as before. */
export function withSerialConsole({ port = "ttyS0", speed = 115200 }: SerialConsoleOptions = {}): Transformer {
  const where = callerLocation(withSerialConsole);
  // The last console= becomes /dev/console, and gets systemd's prompt.
  const words = ["console=tty0", `console=${port},${speed}`];
  return (os) =>
    inheritAt(
      os,
      (old) => ({
        kernelArguments: [
          ...old.kernelArguments.filter((word) => word !== words[0] && !word.startsWith(`console=${port}`)),
          ...words,
        ],
      }),
      where,
    );
}

/** Editors, and what people look at machines with: files, processes, networks, disks. */
export const debugTools: readonly PackageWish[] = Object.freeze([
  ...["bash-completion", "file", "less", "psmisc", "procps", "htop", "lsof", "strace", "tmux", "tree", "vim"],
  ...["bind9-dnsutils", "curl", "ethtool", "iperf3", "iproute2", "iputils-ping", "jq", "mtr-tiny", "netcat-openbsd"],
  ...["rsync", "socat", "tcpdump", "traceroute"],
]);

/** With editors and many tools for looking at what is wrong, and `more`. */
export function withDebugTools(...more: readonly PackageWish[]): Transformer {
  const where = callerLocation(withDebugTools);
  return (os) => inheritAt(os, (old) => ({ packages: united(old.packages, [...debugTools, ...more]) }), where);
}

/** With addresses that move to this machine when others fail, beside those that it may have already. */
export function withKeepalived(options: KeepalivedOptions): Transformer {
  const where = callerLocation(withKeepalived);
  return (os) => {
    const earlier = os.services.find(({ type }) => type === keepalived)?.options as
      | Required<KeepalivedOptions>
      | undefined;
    const merged = {
      ...earlier,
      ...options,
      floating: [...(earlier?.floating ?? []), ...(options.floating ?? [])],
      extraConfiguration: [earlier?.extraConfiguration, options.extraConfiguration].filter(Boolean).join("\n"),
    };
    const service = serviceOf(keepalived, merged, where);
    return inheritAt(os, (old) => ({ services: replaced(old.services, [service]) }), where);
  };
}

/** With load balancing in the kernel, beside the virtual servers that it may have already. */
export function withIpvs(options: IpvsOptions): Transformer {
  const where = callerLocation(withIpvs);
  return (os) => {
    const earlier = os.services.find(({ type }) => type === ipvs)?.options as Required<IpvsOptions> | undefined;
    const virtualServers = [...(earlier?.virtualServers ?? []), ...options.virtualServers];
    const service = serviceOf(ipvs, { ...earlier, ...options, virtualServers }, where);
    return inheritAt(os, (old) => ({ services: replaced(old.services, [service]) }), where);
  };
}

/**
 * With less to attack: the `hardening` of the kernel, no login without password on any console, no graphics over SSH,
 * and a firewall that lets in what the machine's services listen on; a firewall that the system lists stays as it is.
 */
export function withHardening(options: HardeningOptions = {}): Transformer {
  const where = callerLocation(withHardening);
  return (os) => {
    const changed = (one: Service, change: object): Service =>
      serviceOf(one.type, { ...one.options, ...change }, where, locationOf(one));
    const usual = os.services.map((one) => {
      if (one.type === consoles) return changed(one, { emptyPasswords: false });
      return one.type === openssh ? changed(one, { x11Forwarding: false }) : one;
    });
    const hasFirewall = os.services.some(({ type }) => type === firewall);
    const added = [
      serviceOf(hardening, options, where),
      ...(hasFirewall ? [] : [serviceOf(firewall, { policy: "closed" }, where)]),
    ];
    return inheritAt(os, () => ({ services: replaced(usual, added) }), where);
  };
}

function united(some: readonly PackageWish[], more: readonly PackageWish[]): readonly PackageWish[] {
  const known = new Set(some.map(packageName));
  return [...some, ...more.filter((one) => !known.has(packageName(one)))];
}

function replaced(services: readonly Service[], by: readonly Service[]): readonly Service[] {
  const names = new Set(by.map(({ name }) => name));
  return [...services.filter(({ name }) => !names.has(name)), ...by];
}

function serviceAs(service: Service, where: SourceLocation | undefined): Service {
  return serviceOf(service.type, service.options, where);
}

function nothingToTake(type: AnyServiceType, os: OperatingSystem, where: SourceLocation | undefined): Error {
  const names = [...new Set(os.services.map((one) => one.type.name))];
  return failure("no-such-service", `${os.hostName} has no service of type ${type.name}`, {
    ...(where && { where }),
    expected: names.length > 0 ? `one of ${names.join(", ")}` : "a system with services",
    ...nearestHint(type.name, names),
  });
}
