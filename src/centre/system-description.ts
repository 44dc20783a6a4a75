import type { SourceLocation } from "../base/location.ts";
import type { ComposedFacts } from "../build/composed-facts.ts";
import type {
  AcknowledgedScript,
  ManifestChannel,
  ManifestCheck,
  ManifestFileSystem,
  SystemManifest,
} from "../system/manifest.ts";

/**
 * What a system consists of, as plain data without secrets: enough to compare two systems, to say where each path comes
 * from and which of their packages have fixes waiting, on any host, without the program or the store that made them.
 * It lies in the pool beside the images, named by the system's hash. Places in programs are relative to the program's
 * folder. Everything is sorted; only the order of the kernel's arguments and of mount options means something.
 */
export interface SystemDescription {
  readonly formatVersion: 1;
  readonly systemHash: string;
  readonly imageHash?: string;
  readonly hostName: string;
  /** Debian's name. */
  readonly architecture: string;
  readonly channel: DescribedChannel;
  /** Of the root file system, of the boot path and of the tools that wrote it. */
  readonly packages: readonly DescribedPackage[];
  /** Built from source; absent where none is. */
  readonly sourcePackages?: readonly DescribedSource[];
  /** What the system asks for by name. */
  readonly wishes: readonly DescribedWish[];
  readonly recommends: boolean | readonly string[];
  /** Everything generated from the record. */
  readonly files: readonly DescribedFile[];
  readonly users: readonly DescribedUser[];
  readonly groups: readonly DescribedGroup[];
  readonly accountNumbers: Readonly<Record<string, number>>;
  readonly units: readonly DescribedUnit[];
  /** The services that the program lists, or that follow from them; those of every system left out. */
  readonly services: readonly DescribedOrigin[];
  readonly checks: readonly ManifestCheck[];
  readonly kernel: SystemManifest["kernel"];
  readonly bootloader: SystemManifest["bootloader"];
  readonly fileSystems: readonly ManifestFileSystem[];
  readonly alternatives: Readonly<Record<string, string>>;
  readonly acknowledgedScripts: readonly AcknowledgedScript[];
  /** Absent where only the program was looked at. */
  readonly composed?: ComposedFacts;
}

export interface DescribedChannel extends ManifestChannel {
  /** Hash of the pinned indices that the packages were chosen from. */
  readonly identity: string;
  /** The pinned suites, and when the archive made each: ISO 8601, UTC. */
  readonly suites: readonly { readonly suite: string; readonly date: string }[];
}

/** The service (or field of the record) that asked for something, and where that was written. */
export interface DescribedOrigin {
  readonly by: string;
  readonly where?: SourceLocation;
}

export interface DescribedPackage {
  readonly name: string;
  readonly version: string;
  /** Of the archive: `amd64`, `all`. */
  readonly architecture: string;
  /** `root`: installed. `boot`: single files of it start the machine. `tools`: it made the boot path. */
  readonly part: "root" | "boot" | "tools";
  /** Debian's source package, by which fixes are told, and its version. */
  readonly source: string;
  readonly sourceVersion: string;
  readonly suite: string;
  /** Of the archive. */
  readonly sha256: string;
  /** Bytes of the archive, and where mirrors have it. */
  readonly size: number;
  readonly archive: "main" | "security";
  readonly filename: string;
  /** Names of the packages of the system that it depends on. */
  readonly depends: readonly string[];
  /** Why it is there. */
  readonly reason: "wished" | "essential" | { readonly dependencyOf: string; readonly relation: string };
}

export interface DescribedSource {
  readonly name: string;
  readonly version: string;
  /** Where it lies; the hash in it says what it is built from. */
  readonly output: string;
  /** Names of the Debian packages whose place it takes. */
  readonly replaces: readonly string[];
}

export interface DescribedWish {
  readonly name: string;
  readonly origins: readonly DescribedOrigin[];
}

interface DescribedFileBase {
  readonly path: string;
  readonly user: string;
  readonly group: string;
  readonly mode: number;
  readonly origin: DescribedOrigin;
}

/** A path that a service generates. */
export type DescribedFile =
  | (DescribedFileBase & {
      readonly kind: "file";
      /** Bytes. */
      readonly size: number;
      readonly sha256: string;
      /** Absent when it is large, not text, or nobody but root may read it. */
      readonly text?: string;
    })
  | (DescribedFileBase & { readonly kind: "directory" })
  | (DescribedFileBase & { readonly kind: "symlink"; readonly target: string });

export interface DescribedUser {
  readonly name: string;
  readonly uid: number;
  readonly group: string;
  readonly supplementaryGroups: readonly string[];
  readonly comment: string;
  readonly home: string;
  readonly createHome: boolean;
  readonly shell: string;
  /** `none`: nothing is asked. `locked`: no password fits. Else the beginning of a hash of the hash: changes show. */
  readonly password: string;
  readonly system: boolean;
  readonly origin: DescribedOrigin;
}

export interface DescribedGroup {
  readonly name: string;
  readonly gid: number;
  readonly system: boolean;
  readonly origin: DescribedOrigin;
}

/** A unit that the record enables or masks. */
export interface DescribedUnit {
  readonly name: string;
  readonly state: "enabled" | "masked";
  /** Empty when it is not known. */
  readonly origins: readonly DescribedOrigin[];
}

/** Name of the pool's document that describes a system. */
export function descriptionName(systemHash: string): string {
  return `system-${systemHash}.json.gz`;
}
