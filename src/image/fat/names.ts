import { failure } from "../../base/error.ts";
import { sha256 } from "../../base/hash.ts";

/** The names of one file as a FAT directory holds them. */
export interface FatName {
  /** 11 bytes: eight of base, three of extension, padded with spaces. */
  readonly short: Buffer;
  /** Flags of the short entry that show base or extension in lower case (byte 12; Windows NT, Linux). */
  readonly caseFlags: number;
  /** The name in UTF-16 units when the short entry cannot tell it. */
  readonly long?: readonly number[];
}

const lowerCaseBase = 0x08;
const lowerCaseExtension = 0x10;

/**
 * Short and long names for the entries of one directory, given sorted (Microsoft FAT specification, sections
 * 6.1 and 7). Made-up short names carry a digest of the long one rather than a count, so that one more file
 * renames no other.
 *
 * @throws MesoError `bad-name` for what FAT cannot hold, `duplicate-name` for names that differ only in case.
 */
export function fatNames(names: readonly string[], directory: string): FatName[] {
  const seen = new Map<string, string>();
  for (const name of names) {
    checkName(name, directory);
    const folded = name.toUpperCase();
    const other = seen.get(folded);
    if (other !== undefined) {
      throw failure("duplicate-name", `${directory}: ${JSON.stringify(other)} and ${JSON.stringify(name)}`, {
        expected: "names that differ in more than upper and lower case: FAT does not tell them apart",
      });
    }
    seen.set(folded, name);
  }
  const plain = names.map(plainShortName);
  const taken = new Set(plain.flatMap((found) => (found ? [found.short.toString("latin1")] : [])));
  return names.map((name, i) => {
    const found = plain[i];
    if (found) return found;
    const short = inventedShortName(name, taken);
    taken.add(short);
    return { short: Buffer.from(short, "latin1"), caseFlags: 0, long: utf16Units(name) };
  });
}

function checkName(name: string, directory: string): void {
  const isAllowed = name.length > 0 && name.length <= 255 && !/["*/:<>?\\|]|\p{Cc}|[. ]$/u.test(name);
  if (isAllowed && name.isWellFormed()) return;
  throw failure("bad-name", `${directory}: ${JSON.stringify(name)} is no name of a FAT file system`, {
    expected: '1 to 255 characters, none of " * / : < > ? \\ |, no space or dot at the end',
  });
}

/** The name as a short entry alone, when it has at most 8 and 3 characters, each part of one case. */
function plainShortName(name: string): FatName | undefined {
  const match = /^([A-Z0-9!#$%&'()\-@^_`{}~]{1,8})(?:\.([A-Z0-9!#$%&'()\-@^_`{}~]{1,3}))?$/i.exec(name);
  // The i flag without u does not fold beyond ASCII here: the class lists ASCII only.
  if (!match) return undefined;
  const [, base = "", extension = ""] = match;
  if (isMixedCase(base) || isMixedCase(extension)) return undefined;
  const caseFlags =
    (base === base.toUpperCase() ? 0 : lowerCaseBase) |
    (extension === extension.toUpperCase() ? 0 : lowerCaseExtension);
  return { short: Buffer.from(base.toUpperCase().padEnd(8) + extension.toUpperCase().padEnd(3), "latin1"), caseFlags };
}

function isMixedCase(text: string): boolean {
  return text !== text.toUpperCase() && text !== text.toLowerCase();
}

/** "ab1234~1.ext": two characters of the name, four of its digest, a number for the improbable collision. */
function inventedShortName(name: string, taken: ReadonlySet<string>): string {
  const dot = name.lastIndexOf(".");
  const base = shortCharacters(dot > 0 ? name.slice(0, dot) : name).slice(0, 2);
  const extension = shortCharacters(dot > 0 ? name.slice(dot + 1) : "").slice(0, 3);
  const digest = sha256(name).slice(0, 4).toUpperCase();
  for (let number = 1; ; number++) {
    const tail = `~${number}`;
    const short =
      `${base}${digest}`
        .slice(0, 8 - tail.length)
        .concat(tail)
        .padEnd(8) + extension.padEnd(3);
    if (!taken.has(short)) return short;
  }
}

function shortCharacters(text: string): string {
  return text.toUpperCase().replaceAll(/[^A-Z0-9_-]/g, "");
}

function utf16Units(name: string): number[] {
  return Array.from({ length: name.length }, (_, i) => name.charCodeAt(i));
}
