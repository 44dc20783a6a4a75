import type { SourceLocation } from "../base/location.ts";
import type { SecretSource } from "../language/secret.ts";

/**
 * What folding the services of an operating system gives: plain data, no function, nothing of the host.
 * Its canonical JSON (locations left out), with the digests of the resolved archives, names the system.
 */
export interface SystemManifest {
  readonly formatVersion: 1;
  readonly hostName: string;
  /** Debian's name: `amd64`. */
  readonly architecture: string;
  readonly channel: ManifestChannel;
  readonly kernel: {
    /** Debian package that brings the kernel, or depends on the one that does: `linux-image-cloud-amd64`. */
    readonly package: string;
    readonly arguments: readonly string[];
    /** Modules that the initrd loads, by name, beside those of the boot file systems. */
    readonly initrdModules: readonly string[];
  };
  readonly bootloader: {
    readonly kind: "grub";
    readonly targets: readonly string[];
    /** Seconds. */
    readonly timeout: number;
  };
  readonly fileSystems: readonly ManifestFileSystem[];
  /** Debian package names wished for, sorted, without their dependencies. */
  readonly packages: readonly ManifestPackage[];
  /** Whose Recommends come too: every package's, or those of these, sorted. */
  readonly recommends: boolean | readonly string[];
  readonly users: readonly ManifestUser[];
  readonly groups: readonly ManifestGroup[];
  /** Everything generated, sorted by path. */
  readonly files: readonly ManifestFile[];
  /** Units to enable by their [Install] section, wherever they come from; `unit@instance` for templates. */
  readonly enabledUnits: readonly string[];
  readonly maskedUnits: readonly string[];
  /** `name` → chosen target path, where the automatic choice by priority is not wanted. */
  readonly alternatives: Readonly<Record<string, string>>;
  /** Numbers for accounts that packages create and the registry does not know. */
  readonly accountNumbers: Readonly<Record<string, number>>;
  /** Maintainer scripts that the person's own program acknowledges. */
  readonly acknowledgedScripts: readonly AcknowledgedScript[];
  readonly checks: readonly ManifestCheck[];
  /** What judges the configuration while the system is built. */
  readonly configurationChecks: readonly ManifestConfigurationCheck[];
  /** Names of the secrets that the machine is given when it starts, sorted. */
  readonly secrets: readonly string[];
  readonly origins?: ManifestOrigins;
}

/** Who asked for what has no place of its own to tell it. Left out of every hash. */
export interface ManifestOrigins {
  readonly enabledUnits: Readonly<Record<string, readonly Origin[]>>;
  readonly maskedUnits: Readonly<Record<string, readonly Origin[]>>;
  /** The services that the record lists, and those that follow from them. */
  readonly services: readonly Origin[];
  /** Where the values of secrets are looked up, by name: moving one changes no system. */
  readonly secretSources: Readonly<Record<string, SecretSource>>;
}

export interface ManifestChannel {
  readonly suite: string;
  readonly components: readonly string[];
  readonly updates: boolean;
  readonly security: boolean;
}

export type ManifestDevice =
  | { readonly kind: "label"; readonly label: string }
  | { readonly kind: "uuid"; readonly uuid: string }
  | { readonly kind: "path"; readonly path: string }
  | { readonly kind: "none" };

export interface ManifestFileSystem {
  readonly device: ManifestDevice;
  readonly mountPoint: string;
  readonly type: string;
  readonly options: readonly string[];
  readonly neededForBoot: boolean;
  readonly check: boolean;
}

export interface ManifestPackage {
  readonly name: string;
  readonly origins: readonly Origin[];
}

export interface ManifestUser {
  readonly name: string;
  readonly uid: number;
  /** Primary group by name. */
  readonly group: string;
  readonly supplementaryGroups: readonly string[];
  readonly comment: string;
  readonly home: string;
  readonly createHome: boolean;
  readonly shell: string;
  /** crypt(5) hash, "" for no password asked, "!" for locked. */
  readonly passwordHash: string;
  readonly system: boolean;
  readonly origin: Origin;
}

export interface ManifestGroup {
  readonly name: string;
  readonly gid: number;
  readonly system: boolean;
  readonly origin: Origin;
}

/** Who asked: the service (or field) and where it was written. Left out of every hash. */
export interface Origin {
  readonly by: string;
  readonly where?: SourceLocation;
}

interface ManifestFileBase {
  readonly path: string;
  /** Owner and group by name: numbers are the accounts' business. */
  readonly user: string;
  readonly group: string;
  readonly mode: number;
  readonly origin: Origin;
  /** May take the place of a file that a package ships: `sshd_config`, `nsswitch.conf`. */
  readonly replacesPackageFile?: boolean;
}

export type ManifestFile =
  | (ManifestFileBase & { readonly kind: "file"; readonly text: string })
  | (ManifestFileBase & { readonly kind: "directory" })
  | (ManifestFileBase & { readonly kind: "symlink"; readonly target: string });

/** A person's word that a package's maintainer script was read, and what it would have done. */
export interface AcknowledgedScript {
  readonly package: string;
  readonly script: "preinst" | "postinst" | "config";
  /** SHA-256 of the script; absent: whatever this package's script says. */
  readonly sha256?: string;
  readonly reason: string;
}

/** How to see from inside that the system works; run through the guest agent. */
export type ManifestCheck = { readonly name: string; readonly service: string } & (
  | { readonly kind: "unit-active"; readonly unit: string }
  | { readonly kind: "port-answers"; readonly port: number; readonly protocol: "tcp" | "udp" }
  | { readonly kind: "command-succeeds"; readonly command: readonly string[] }
);

/** A program of the system that judges the configuration it will read, in a sandbox, when the system is built. */
export interface ManifestConfigurationCheck {
  readonly name: string;
  /** Program and arguments, by their paths in the system. */
  readonly command: readonly string[];
  /** Files, and folders with all they hold, that it sees of the finished system; sorted. */
  readonly reads: readonly string[];
  /** What it loads without being linked to it; sorted. */
  readonly loads: readonly string[];
  /** Empty folders that it may write to; sorted. */
  readonly folders: readonly string[];
  readonly asRoot: boolean;
  readonly origin: Origin;
}
