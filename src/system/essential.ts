import { sortedBy } from "../base/order.ts";
import type { FileSystem, FileSystemType } from "../language/file-system.ts";
import type { OperatingSystem } from "../language/operating-system.ts";
import { fieldLocation } from "../language/record.ts";
import type { Extension, NoOptions, Service, Target } from "../language/service-type.ts";
import { extend, serviceOf, serviceType } from "../language/service-type.ts";
import { accounts } from "./essential-accounts.ts";
import {
  activation,
  initrdModules,
  kernelArguments,
  kernelModules,
  modprobeOptions,
  sysctl,
  tmpfiles,
} from "./essential-boot.ts";
import { configurationChecks } from "./essential-configuration.ts";
import { credentials, secretFiles } from "./essential-credentials.ts";
import { etcFile, etcFiles, symlink, systemFiles } from "./essential-files.ts";
import { pam, sudoers, unixRules } from "./essential-login.ts";
import { hosts, nameServiceSwitch, standardSources } from "./essential-names.ts";
import { systemRoot } from "./essential-part.ts";
import { alternatives, checks, environment, profile } from "./essential-profile.ts";
import { enableUnit, systemdUnits } from "./essential-units.ts";

/** What every system has besides the services it lists: the targets, and what the fields of the record contribute. */
export function essentialServices(os: OperatingSystem): readonly Service[] {
  const listed = new Set(os.services.map((service) => service.type));
  const types = [...targets.filter((type) => !listed.has(type)), ...contributors];
  return types.map((type) => serviceOf(type, {}, fieldLocation(os, fieldOf[type.name] ?? "hostName")));
}

/** Whether every system has this service, listed or not. */
export function isEssential(service: Service): boolean {
  return essentialTypes.has(service.type);
}

const targets = [
  systemRoot,
  etcFiles,
  systemFiles,
  systemdUnits,
  accounts,
  activation,
  kernelArguments,
  initrdModules,
  kernelModules,
  modprobeOptions,
  sysctl,
  tmpfiles,
  profile,
  environment,
  alternatives,
  checks,
  configurationChecks,
  credentials,
  secretFiles,
  pam,
  sudoers,
  hosts,
  nameServiceSwitch,
];

const replacing = { replacesPackageFile: true };

const contributors = [
  essential("host-name", "The machine's name.", [
    from(etcFiles, ({ hostName }) => [etcFile("/etc/hostname", `${hostName}\n`)]),
    from(hosts, ({ nameResolution }) => nameResolution.hosts),
  ]),
  essential("file-systems", "What is mounted at boot, and the programs that check and mount it.", [
    from(etcFiles, ({ fileSystems }) => [etcFile("/etc/fstab", fstabText(fileSystems))]),
    from(profile, ({ fileSystems }) => [...new Set(fileSystems.flatMap(({ type }) => packagesOfType[type] ?? []))]),
    // systemd sorts what comes over the network under this target, and nothing else starts it.
    from(systemdUnits, ({ fileSystems }) => (fileSystems.some(isRemote) ? [enableUnit("remote-fs.target")] : [])),
  ]),
  essential("time-zone", "The local time zone.", [
    from(etcFiles, ({ timezone }) => [
      etcFile("/etc/timezone", `${timezone}\n`, replacing),
      symlink("/etc/localtime", `/usr/share/zoneinfo/${timezone}`, replacing),
    ]),
    from(profile, () => ["tzdata"]),
  ]),
  essential("locale", "The language of programs.", [
    from(etcFiles, ({ locale }) => [
      // systemd reads this one, PAM the other; trixie's tmpfiles.d makes the link at boot whatever is there.
      etcFile("/etc/locale.conf", `LANG=${locale}\n`, replacing),
      symlink("/etc/default/locale", "../locale.conf", replacing),
    ]),
    from(profile, ({ locale }) => (/^(C|POSIX)(\.UTF-8|\.utf8)?$/.test(locale) ? [] : ["locales-all"])),
  ]),
  essential("keyboard", "The console's keyboard.", [
    from(etcFiles, ({ keyboard }) =>
      keyboard ? [etcFile("/etc/default/keyboard", keyboardText(keyboard), replacing)] : [],
    ),
    // Debian's systemd is built without vconsole: setupcon(1) is what reads the file.
    from(profile, ({ keyboard }) => (keyboard ? ["console-setup"] : [])),
    from(systemdUnits, ({ keyboard }) =>
      keyboard ? ["keyboard-setup.service", "console-setup.service"].map((name) => enableUnit(name)) : [],
    ),
  ]),
  essential("resolver", "Where names are asked for.", [
    from(etcFiles, (os) => resolverFiles(os)),
    from(profile, ({ nameResolution }) => (nameResolution.nameServers === "resolved" ? ["systemd-resolved"] : [])),
    from(systemdUnits, ({ nameResolution }) =>
      nameResolution.nameServers === "resolved" ? [enableUnit("systemd-resolved.service")] : [],
    ),
    from(nameServiceSwitch, () => standardSources),
  ]),
  essential("greetings", "What is shown before and after login.", [
    from(etcFiles, ({ issue, motd }) => [
      etcFile("/etc/issue", issue, replacing),
      ...(motd === "" ? [] : [etcFile("/etc/motd", motd, replacing)]),
    ]),
  ]),
  essential("login", "Users, groups, PAM and sudo.", [
    from(accounts, ({ users, groups }) => [...users, ...groups]),
    from(pam, () => unixRules),
    from(profile, () => ["libpam-modules", "libpam-runtime"]),
    from(sudoers, (os) => os.sudoers),
  ]),
  essential("boot-state", "What keeps systemd from taking each boot for the first.", [
    from(etcFiles, () => [
      // An empty machine-id is not a first boot, and is filled in at each boot of a volatile root: machine-id(5).
      etcFile("/etc/machine-id", "", { mode: 0o444, replacesPackageFile: true }),
      // The manifest says what is enabled; presets, were they ever applied, must add nothing.
      etcFile("/etc/systemd/system-preset/00-meso.preset", "disable *\n"),
    ]),
  ]),
  essential("wishes", "Packages, modules and choices that the operating system lists.", [
    from(profile, (os) => os.packages),
    from(initrdModules, (os) => os.initrdModules),
    from(alternatives, (os) => os.alternatives),
  ]),
];

/** The field that most of a contributor's work follows from; an inherited one was written elsewhere than the record. */
const fieldOf: Readonly<Record<string, keyof OperatingSystem & string>> = {
  "essential-file-systems": "fileSystems",
  "essential-time-zone": "timezone",
  "essential-locale": "locale",
  "essential-keyboard": "keyboard",
  "essential-resolver": "nameResolution",
  "essential-login": "users",
  "essential-wishes": "packages",
};

const essentialTypes = new Set<unknown>([...targets, ...contributors]);

function essential(name: string, description: string, extensions: readonly Extension<object>[]) {
  return serviceType<NoOptions>({ name: `essential-${name}`, description, options: {}, defaults: {}, extensions });
}

function from<Contribution>(
  target: Target<Contribution>,
  contribution: (os: OperatingSystem) => NoInfer<Contribution>,
): Extension<object> {
  return extend(target, (_: object, os) => contribution(os));
}

/** Programs that check or mount a type of file system. */
const packagesOfType: Partial<Record<FileSystemType, readonly string[]>> = {
  ext2: ["e2fsprogs"],
  ext3: ["e2fsprogs"],
  ext4: ["e2fsprogs"],
  xfs: ["xfsprogs"],
  btrfs: ["btrfs-progs"],
  vfat: ["dosfstools"],
  nfs: ["nfs-common"],
  nfs4: ["nfs-common"],
  cifs: ["cifs-utils"],
  ceph: ["ceph-common"],
  "fuse.ceph": ["ceph-fuse"],
};

function isRemote({ type, options }: FileSystem): boolean {
  return ["nfs", "nfs4", "cifs", "ceph", "fuse.ceph"].includes(type) || options.includes("_netdev");
}

/** fstab(5), sorted by mount point. */
function fstabText(fileSystems: readonly FileSystem[]): string {
  const lines = sortedBy(fileSystems, ({ mountPoint }) => mountPoint)
    // The overlay over a read-only root is the initrd's; a line here would make systemd remount it.
    .filter(({ mountPoint, type }) => !(mountPoint === "/" && type === "erofs"))
    .map(({ device, mountPoint, type, options, check }) => {
      const pass = check ? (mountPoint === "/" ? 1 : 2) : 0;
      return [deviceSpec(device), mountPoint, type, options.join(",") || "defaults", 0, pass].join("\t");
    });
  return lines.map((line) => `${line}\n`).join("");
}

function deviceSpec(device: FileSystem["device"]): string {
  if (device === "none") return "none";
  if (device.kind === "label") return `LABEL=${device.label}`;
  return device.kind === "uuid" ? `UUID=${device.uuid}` : device.path;
}

function keyboardText({ layout, model, variant, options }: NonNullable<OperatingSystem["keyboard"]>): string {
  const settings = { XKBMODEL: model ?? "pc105", XKBLAYOUT: layout, XKBVARIANT: variant ?? "" };
  const all = { ...settings, XKBOPTIONS: (options ?? []).join(","), BACKSPACE: "guess" };
  return Object.entries(all)
    .map(([key, value]) => `${key}="${value}"\n`)
    .join("");
}

function resolverFiles({ nameResolution: { nameServers, searchDomains } }: OperatingSystem) {
  if (nameServers === "resolved") {
    return [symlink("/etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf", replacing)];
  }
  if (nameServers.length === 0) return [];
  const search = searchDomains.length > 0 ? [`search ${searchDomains.join(" ")}`] : [];
  const lines = [...search, ...nameServers.map((address) => `nameserver ${address}`)];
  return [etcFile("/etc/resolv.conf", lines.map((line) => `${line}\n`).join(""), replacing)];
}
