import type { UserAccount, UserGroup } from "./account.ts";
import type { Bootloader } from "./bootloader.ts";
import { grub } from "./bootloader.ts";
import type { Channel } from "./channel.ts";
import { trixie } from "./channel.ts";
import { aList, aNumber, aRecord, aString, aTable, aWord, orUndefined } from "./check.ts";
import type { Check } from "./complaint.ts";
import type { FileSystem } from "./file-system.ts";
import { isNormalAbsolutePath } from "./file-system.ts";
import type { Kernel } from "./kernel.ts";
import { cloudKernel } from "./kernel.ts";
import type { NameResolution } from "./name-resolution.ts";
import { isHostName, nameResolution } from "./name-resolution.ts";
import type { PackageWish } from "./package-reference.ts";
import { aPackage } from "./package-reference.ts";
import type { InputFor, RecordOf } from "./record.ts";
import { recordType } from "./record.ts";
import type { Service } from "./service-type.ts";

interface OperatingSystemFields {
  hostName: string;
  /** Everything that is mounted; one of them on "/". */
  fileSystems: readonly FileSystem[];
  bootloader: Bootloader;
  kernel: Kernel;
  /** Words of the kernel's command line, in order. */
  kernelArguments: readonly string[];
  /** Modules that the initrd loads beside those that the root file system needs. */
  initrdModules: readonly string[];
  /** A name of the time zone database: `Europe/Paris`. */
  timezone: string;
  /** `C.UTF-8` costs nothing; any other brings Debian's locales-all. */
  locale: string;
  /** Console keyboard, set at boot by Debian's console-setup; undefined leaves the kernel's own (us). */
  keyboard: Keyboard | undefined;
  users: readonly UserAccount[];
  groups: readonly UserGroup[];
  /** Debian packages, without their dependencies. */
  packages: readonly PackageWish[];
  /**
   * Packages built from source (`sourcePackage`): in the place of the Debian packages that they say they replace, whose
   * dependents use them; those that replace none are there beside, with their programs in /usr/local.
   */
  sourcePackages: readonly PackageFromSource[];
  /**
   * Whose Recommends come too, where they can: `true` for every package's, or the names of packages, each for its own
   * only. Nobody's by default, as images stay small and say what they hold.
   */
  recommends: boolean | readonly PackageWish[];
  services: readonly Service[];
  nameResolution: NameResolution;
  channel: Channel;
  /** Debian's name: `amd64`. */
  architecture: Architecture;
  /** Link name → target, where the automatic choice is not wanted: `{ editor: "/usr/bin/vim.basic" }`. */
  alternatives: Readonly<Record<string, string>>;
  /** Numbers for system accounts that the registry does not know. */
  accountNumbers: Readonly<Record<string, number>>;
  /** Maintainer scripts that were read, and need nothing that the system lacks. */
  acknowledgedScripts: readonly AcknowledgedScript[];
  /** Lines of sudoers(5); any of them brings Debian's sudo. */
  sudoers: readonly string[];
  /** Shown after login. */
  motd: string;
  /** Shown before login; getty's escapes (`\l`, `\n`) work. */
  issue: string;
}

export type OperatingSystem = RecordOf<OperatingSystemFields, "hostName" | "fileSystems">;

/** What a system needs to know of a `sourcePackage`, whose room is above this one. */
export interface PackageFromSource {
  readonly name: string;
  readonly version: string;
  /** Names of Debian packages. */
  readonly replaces: readonly string[];
}

/** Keyboard of the console, as xkeyboard-config(7) names them. */
export interface Keyboard {
  readonly layout: string;
  readonly model?: string;
  readonly variant?: string;
  readonly options?: readonly string[];
}

/** A person's word that a package's maintainer script was read, and what it would have done. */
export interface AcknowledgedScript {
  readonly package: string;
  readonly script: "preinst" | "postinst" | "config";
  /** SHA-256 of the script; absent: whatever this package's script says. */
  readonly sha256?: string;
  readonly reason: string;
}

export const architectures = ["amd64", "arm64", "riscv64", "ppc64el", "s390x", "armhf", "i386"] as const;

/** Debian's names. */
export type Architecture = (typeof architectures)[number];

/** What systems hold that do not say otherwise. */
export interface SystemDefaults {
  readonly packages: readonly PackageWish[];
  readonly services: readonly Service[];
}

/** What a machine is hardly usable without; Debian's Essential packages come in any case. */
export const basePackages: readonly PackageWish[] = Object.freeze([
  "ca-certificates",
  "iproute2",
  "iputils-ping",
  "less",
  "nano",
  "netbase",
  "procps",
  "systemd-sysv",
]);

/**
 * The constructor of operating systems with these defaults. The catalogue of services is in a room below this one, so
 * `src/index.ts` brings the two together.
 */
export function defineOperatingSystem(
  defaults: SystemDefaults,
): (given: InputFor<OperatingSystemFields, "hostName" | "fileSystems">) => OperatingSystem {
  return recordType<OperatingSystemFields, "hostName" | "fileSystems">({
    kind: "operatingSystem",
    defaults: () => ({
      bootloader: defaultBootloader,
      kernel: cloudKernel,
      kernelArguments: [],
      initrdModules: [],
      timezone: "Etc/UTC",
      locale: "C.UTF-8",
      keyboard: undefined,
      users: [],
      groups: [],
      packages: defaults.packages,
      sourcePackages: [],
      recommends: false,
      services: defaults.services,
      nameResolution: defaultNameResolution,
      channel: trixie,
      architecture: "amd64",
      alternatives: {},
      accountNumbers: {},
      acknowledgedScripts: [],
      sudoers: [],
      motd: "",
      issue: "\\S{PRETTY_NAME} \\n \\l\n\n",
    }),
    fields: operatingSystemChecks,
  });
}

const defaultBootloader = grub({});
const defaultNameResolution = nameResolution({});

/** One or several words; x86 takes 2048 bytes in all (COMMAND_LINE_SIZE). */
export const kernelWords = aString(
  "words for the kernel's command line",
  (words) => /^[\x20-\x7e]{1,2000}$/.test(words) && words.trim() !== "",
);

export const aLine = aString("one line of text", (line) => !line.includes("\n"));

/** Name of a kernel module. */
export const aModuleName = aString("a kernel module's name", (name) => /^[A-Za-z0-9_-]+$/.test(name));
const anXkbName = aString("a name of xkeyboard-config(7)", (name) => /^[A-Za-z0-9_:,+()-]*$/.test(name));
const aPath = aString("an absolute path", isNormalAbsolutePath, "wrong-path");

const operatingSystemChecks: { readonly [K in keyof OperatingSystemFields]: Check } = {
  // Linux holds 64 bytes; one label of RFC 1123 is what everything understands.
  hostName: aString(
    "1 to 63 letters, digits and inner hyphens (domains go into nameResolution)",
    (name) => isHostName(name) && !name.includes("."),
    "wrong-host-name",
  ),
  fileSystems: aList(aRecord("fileSystem")),
  bootloader: aRecord("grub"),
  kernel: aRecord("kernel"),
  kernelArguments: aList(kernelWords),
  initrdModules: aList(aModuleName),
  timezone: aString(
    'a name of the time zone database: "Europe/Paris"',
    (name) => /^[A-Za-z][A-Za-z0-9_+-]*(\/[A-Za-z0-9_+-]+){0,2}$/.test(name),
    "wrong-time-zone",
    "list them with: timedatectl list-timezones",
  ),
  locale: aString('a locale with its encoding: "C.UTF-8", "fr_FR.UTF-8"', (name) =>
    /^(C|POSIX|[a-z]{2,3}(_[A-Z]{2})?)(\.[A-Za-z0-9-]+)?(@[a-z]+)?$/.test(name),
  ),
  keyboard: orUndefined((value) => [
    ...anXkbName((value as Keyboard)?.layout).map((complaint) => ({ ...complaint, field: ".layout" })),
    ...orUndefined(anXkbName)((value as Keyboard)?.model).map((complaint) => ({ ...complaint, field: ".model" })),
    ...orUndefined(anXkbName)((value as Keyboard)?.variant).map((complaint) => ({ ...complaint, field: ".variant" })),
    ...orUndefined(aList(anXkbName))((value as Keyboard)?.options).map((complaint) => ({
      ...complaint,
      field: `.options${complaint.field ?? ""}`,
    })),
  ]),
  users: aList(aRecord("userAccount")),
  groups: aList(aRecord("userGroup")),
  packages: aList(aPackage),
  sourcePackages: aList(aRecord("sourcePackage")),
  recommends: (value) => (typeof value === "boolean" ? [] : aList(aPackage)(value)),
  services: aList(aRecord("service")),
  nameResolution: aRecord("nameResolution"),
  channel: aRecord("channel"),
  architecture: aWord(architectures),
  alternatives: aTable(aPath),
  accountNumbers: aTable(aNumber(1, 999)),
  acknowledgedScripts: aList((value) => {
    const script = value as Partial<AcknowledgedScript> | null;
    return [
      ...aPackage(script?.package).map((complaint) => ({ ...complaint, field: ".package" })),
      ...aWord(["preinst", "postinst", "config"])(script?.script).map((complaint) => ({
        ...complaint,
        field: ".script",
      })),
      ...orUndefined(aString("64 hexadecimal digits", (digest) => /^[0-9a-f]{64}$/.test(digest)))(script?.sha256).map(
        (complaint) => ({ ...complaint, field: ".sha256" }),
      ),
      ...aString(
        "why it is not needed",
        (reason) => reason.trim() !== "",
      )(script?.reason).map((complaint) => ({
        ...complaint,
        field: ".reason",
      })),
    ];
  }),
  sudoers: aList(aLine),
  motd: aString("text"),
  issue: aString("text"),
};
