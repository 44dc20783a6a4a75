import { callerLocation } from "../base/location.ts";
import { aString } from "./check.ts";
import type { Check } from "./complaint.ts";
import { attachFacts } from "./record.ts";

/** A Debian package of the system's channel, by name. */
export interface PackageReference {
  readonly kind: "debian";
  readonly name: string;
}

/** Wherever a package is wished for, its bare name will do. */
export type PackageWish = string | PackageReference;

/** A reference to a Debian package: `debian("htop")`. */
export function debian(name: string): PackageReference {
  const where = callerLocation(debian);
  const reference = { kind: "debian", name } as const;
  return attachFacts(reference, { kind: "package", given: reference, fields: {}, ...(where && { where }) });
}

export function packageName(wish: PackageWish): string {
  return typeof wish === "string" ? wish : wish.name;
}

// Debian policy 5.6.1: at least two of these characters, starting with an alphanumeric.
const namePattern = /^[a-z0-9][a-z0-9+.-]+$/;

const aName = aString("a Debian package name: lower-case letters, digits, + . -", (name) => namePattern.test(name));

export const aPackage: Check = (value) => {
  const isReference = typeof value === "object" && value !== null && (value as PackageReference).kind === "debian";
  return aName(isReference ? (value as PackageReference).name : value);
};
