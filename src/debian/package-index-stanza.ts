import { failure } from "../base/error.ts";
import type { Paragraph } from "./control.ts";
import { parseControl } from "./control.ts";
import type { PackageSource } from "./package-index-format.ts";
import type { RelationGroup } from "./relation.ts";
import { parseRelations } from "./relation.ts";
import { parseVersion } from "./version.ts";

/** One version of a package, as its stanza in the index tells. */
export interface PackageVersion {
  readonly name: string;
  readonly version: string;
  /** `amd64`, or `all`. */
  readonly architecture: string;
  /** The `Packages` files that hold it, in the order they were given; archives are fetched from the first. */
  readonly sources: readonly PackageSource[];
  /** Rank of the name among all names in the order the indices first mention them: apt's last resort for choices. */
  readonly mention: number;
  /** Path of the archive below the mirror's root. */
  readonly filename: string;
  readonly sha256: string;
  /** Bytes of the archive. */
  readonly size: number;
  /** Bytes once unpacked, as estimated by the package. */
  readonly installedSize: number;
  readonly essential: boolean;
  readonly multiArch: "no" | "same" | "foreign" | "allowed";
  /** `required`, `important`, `standard`, `optional`, `extra`. */
  readonly priority: string;
  readonly section: string;
  /** The first line of the description. */
  readonly synopsis: string;
  readonly preDepends: readonly RelationGroup[];
  readonly depends: readonly RelationGroup[];
  readonly recommends: readonly RelationGroup[];
  readonly conflicts: readonly RelationGroup[];
  readonly breaks: readonly RelationGroup[];
  readonly provides: readonly RelationGroup[];
  /** Every field that the index keeps (all but MD5sum, SHA1, Tag and Description-md5). */
  readonly stanza: Paragraph;
}

/** Throws a `MesoError` (`bad-index`) on a missing or malformed field, naming package and field. */
export function parseStanza(text: string, mention: number, sources: readonly PackageSource[]): PackageVersion {
  const stanza = parseControl(text, { source: "package index" })[0];
  if (stanza === undefined) throw failure("bad-index", "an empty stanza in the package index");
  const { fields } = stanza;
  const bad = (field: string, why: string, cause?: unknown) =>
    failure("bad-index", `package index, stanza of ${fields.get("Package")}: field ${field} ${why}`, {}, cause);
  const required = (field: string) => {
    const value = fields.get(field);
    if (!value) throw bad(field, "is missing");
    return value;
  };
  const relations = (field: string): RelationGroup[] => {
    const value = fields.get(field);
    if (value === undefined) return noRelations;
    try {
      return parseRelations(value);
    } catch (error) {
      throw bad(field, `cannot be read: ${(error as Error).message.split("\n")[0]}`, error);
    }
  };
  const number = (field: string, fallback?: string) => {
    const value = fields.get(field) ?? fallback;
    if (value === undefined) throw bad(field, "is missing");
    if (!/^[0-9]{1,15}$/.test(value)) throw bad(field, `is no number: "${value.slice(0, 40)}"`);
    return Number(value);
  };
  const sha256 = required("SHA256");
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw bad("SHA256", `is no SHA-256: "${sha256.slice(0, 80)}"`);
  const version = required("Version");
  parseVersion(version);
  const multiArch = fields.get("Multi-Arch") ?? "no";
  if (!isMultiArch(multiArch)) throw bad("Multi-Arch", `has an unknown value: "${multiArch.slice(0, 40)}"`);
  return {
    name: required("Package"),
    version,
    architecture: required("Architecture"),
    sources,
    mention,
    filename: checkedFilename(required("Filename"), bad),
    sha256,
    size: number("Size"),
    installedSize: number("Installed-Size", "0") * 1024,
    essential: fields.get("Essential") === "yes",
    multiArch,
    priority: fields.get("Priority") ?? "optional",
    section: fields.get("Section") ?? "",
    synopsis: (fields.get("Description") ?? "").split("\n", 1)[0]!,
    preDepends: relations("Pre-Depends"),
    depends: relations("Depends"),
    recommends: relations("Recommends"),
    conflicts: relations("Conflicts"),
    breaks: relations("Breaks"),
    provides: relations("Provides"),
    stanza,
  };
}

const noRelations: RelationGroup[] = [];

function isMultiArch(value: string): value is PackageVersion["multiArch"] {
  return value === "no" || value === "same" || value === "foreign" || value === "allowed";
}

/** The name becomes part of an address and of a path in a cache: it must not climb out of either. */
function checkedFilename(filename: string, bad: (field: string, why: string) => Error): string {
  const isPlain = /^[A-Za-z0-9._+~%:=@/-]+$/.test(filename) && !filename.startsWith("/");
  if (!isPlain || filename.split("/").includes("..")) {
    throw bad("Filename", `is no path below the archive: "${filename.slice(0, 80)}"`);
  }
  return filename;
}
