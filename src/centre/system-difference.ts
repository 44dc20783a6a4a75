import type { ManifestCheck, ManifestFileSystem } from "../system/manifest.ts";
import type {
  DescribedFile,
  DescribedGroup,
  DescribedOrigin,
  DescribedPackage,
  DescribedUnit,
  DescribedUser,
} from "./system-description.ts";

/**
 * How one system differs from another: everything that makes their hashes differ, each thing whole as it was and as it
 * will be. Plain data. Lists are sorted by what names their items; all of them are empty between systems of one hash.
 */
export interface SystemDifference {
  readonly before: SystemIdentity;
  readonly after: SystemIdentity;
  readonly packages: readonly PackageDifference[];
  readonly files: readonly FileDifference[];
  readonly users: readonly Change<DescribedUser>[];
  readonly groups: readonly Change<DescribedGroup>[];
  readonly units: readonly Change<DescribedUnit>[];
  readonly checks: readonly Change<ManifestCheck>[];
  readonly fileSystems: readonly Change<ManifestFileSystem>[];
  /** Words that differ, as they stand on the command line; order means something. Absent when they are the same. */
  readonly kernelArguments?: { readonly before: readonly string[]; readonly after: readonly string[] };
  /** Names of packages that the record asks for, or no longer. */
  readonly wishes: readonly Change<string>[];
  /** Everything else of the record. */
  readonly settings: readonly SettingDifference[];
  /** Services that will not behave as before, and why. */
  readonly services: readonly ServiceDifference[];
}

export interface SystemIdentity {
  readonly systemHash: string;
  readonly hostName: string;
  readonly imageHash?: string;
}

/** Something that came (`after` only), went (`before` only) or is another (both). */
export interface Change<T> {
  readonly before?: T;
  readonly after?: T;
}

export interface PackageDifference extends Change<DescribedPackage> {
  readonly name: string;
  /** `rebuilt`: of the same version, with other contents. */
  readonly kind: "added" | "removed" | "upgraded" | "downgraded" | "rebuilt";
}

/** A generated file, or what stands at its path. */
export interface FileDifference extends Change<DescribedFile> {
  /** As people know it: the link in /etc rather than the file of the store that it leads to. */
  readonly path: string;
  readonly kind: "added" | "removed" | "changed";
  /** The line of the program that wrote what is there now; of what is gone, what was there. */
  readonly origin: DescribedOrigin;
  /** Unified diff of the text, without a header; absent when the text is the same, or not known on both sides. */
  readonly patch?: string;
  /** What else differs, in words: `mode 0644 → 0600`. */
  readonly attributes: readonly string[];
  /** Where the texts differ in nothing but the new names of files of the store: the paths by which those are told. */
  readonly follows?: readonly string[];
  /** Links at `path` and elsewhere that only follow the file of the store to its new name. */
  readonly links: readonly Change<DescribedFile>[];
}

export interface SettingDifference extends Change<string> {
  /** For people: `host name`, `alternative editor`. */
  readonly title: string;
}

export interface ServiceDifference {
  /** As the program names it: `openssh`. */
  readonly service: string;
  readonly kind: "added" | "removed" | "changed";
  /** Where the program says so; of what is gone, where it said so. */
  readonly where?: DescribedOrigin["where"];
  readonly reasons: readonly ServiceReason[];
}

export type ServiceReason =
  | { readonly kind: "package"; readonly package: string }
  /** A library, or another package that one of the service's own depends on by way of libraries only. */
  | { readonly kind: "dependency"; readonly package: string; readonly of: string }
  | { readonly kind: "configuration"; readonly path: string }
  | { readonly kind: "unit"; readonly unit: string };

export function isEmptyDifference(difference: SystemDifference): boolean {
  const { packages, files, users, groups, units, checks, fileSystems, kernelArguments, wishes, settings } = difference;
  const lists = [packages, files, users, groups, units, checks, fileSystems, wishes, settings];
  return kernelArguments === undefined && lists.every((list) => list.length === 0);
}
