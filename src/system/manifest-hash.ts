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

/**
 * The name of a system: SHA-256 (hexadecimal) of the manifest, without who asked for what and where, and of the
 * archives, in any order. Nothing needs to be downloaded for it.
 */
export function systemHash(manifest: SystemManifest, archives: readonly ResolvedArchive[]): string {
  const identities = archives
    .map(({ name, version, architecture, sha256 }) => [name, version, architecture, sha256])
    .sort((a, b) => compareBytes(a.join(" "), b.join(" ")));
  return hashOf({ manifest: withoutOrigins(manifest), archives: identities });
}

/** The manifest without places in programs: the same for the same system, wherever it is written. */
export function withoutOrigins(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutOrigins);
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).filter(([key]) => key !== "origin" && key !== "origins");
  return Object.fromEntries(members.map(([key, member]) => [key, withoutOrigins(member)]));
}
