import { hashOf } from "../base/hash.ts";
import { compareBytes } from "../base/order.ts";
import type { SystemManifest } from "./manifest.ts";

/** A Debian archive as resolved for a system. */
export interface ResolvedArchive {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  /** Hexadecimal. */
  readonly sha256: string;
}

/** A package built from source as lowered for a system. Its output's path says what it is made from. */
export interface ResolvedSource {
  readonly name: string;
  readonly version: string;
  /** Logical path of its derivation, which is in the store. */
  readonly derivation: string;
  /** Logical path of its main output, which need not be there yet. */
  readonly output: string;
  /** Names of the Debian packages whose place it takes. */
  readonly replaces: readonly string[];
}

/**
 * The name of a system: SHA-256 (hexadecimal) of the manifest, without who asked for what and where, and of the
 * archives and packages from source, in any order. Nothing needs to be downloaded or built for it.
 */
export function systemHash(
  manifest: SystemManifest,
  archives: readonly ResolvedArchive[],
  sources: readonly ResolvedSource[] = [],
): string {
  const identities = archives
    .map(({ name, version, architecture, sha256 }) => [name, version, architecture, sha256])
    .sort((a, b) => compareBytes(a.join(" "), b.join(" ")));
  const built = sources
    .map(({ output, replaces }) => [output, ...[...replaces].sort(compareBytes)])
    .sort(([a], [b]) => compareBytes(a!, b!));
  return hashOf({
    manifest: withoutOrigins(manifest),
    archives: identities,
    ...(built.length > 0 && { sources: built }),
  });
}

/** The manifest without places in programs: the same for the same system, wherever it is written. */
export function withoutOrigins(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutOrigins);
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).filter(([key]) => key !== "origin" && key !== "origins");
  return Object.fromEntries(members.map(([key, member]) => [key, withoutOrigins(member)]));
}
