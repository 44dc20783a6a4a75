import { canonicalJson } from "../base/canonical.ts";
import { assert } from "../base/error.ts";
import { aCount, aDigest, aText, aTruth, matching, mismatch, oneOf, type Shape } from "../base/shape.ts";

/** What is written on every image of ours: plain data, kept as JSON in the pool's own metadata. */
export interface ImageAbout {
  readonly formatVersion: 1;
  /** Name of the centre: several may share a pool. */
  readonly centre: string;
  /** Path in the program: `slurm/ctld`. The image's name does not tell it (`a-b/c`, `a/b-c`). */
  readonly machine: string;
  readonly role: ImageRole;
  /** Of a volume: its name in the program. */
  readonly volume?: string;
  /** `YYYYMMDDHHMM`, UTC, of the publication; of a volume, of its making. */
  readonly stamp: string;
  /** Absent on volumes. */
  readonly system?: SystemAbout;
  readonly verdict?: Verdict;
  /** Promoted without a passing verdict, by whose word. */
  readonly forced?: string;
  /** What a later step must finish or undo: written before a change that takes several. */
  readonly intent?: string;
  /** Of a root: JSON of the cores, memory, firmware and nics that its machine was defined with when it last worked. */
  readonly shape?: string;
}

/** `published`: never written to again. `candidate`: its clone, on trial. `root`: a promoted candidate. */
export type ImageRole = "published" | "candidate" | "root" | "volume" | "trial";

/** Which system an image holds, and where it came from. */
export interface SystemAbout {
  /** SHA-256 of manifest and archives. */
  readonly systemHash: string;
  /** SHA-256 of every byte of the disk. */
  readonly imageHash: string;
  /** SHA-256 of `meso.lock`. */
  readonly lockHash: string;
  /** Commit of the repository that the program lies in, and whether all was committed. */
  readonly commit?: string;
  readonly isClean?: boolean;
  /** `user@host`, and this program's version. */
  readonly builder: string;
  /** Seconds since 1970. */
  readonly publishedAt: number;
}

/** What the checks of a candidate said. */
export interface Verdict {
  readonly passed: boolean;
  /** Seconds since 1970. */
  readonly at: number;
  readonly by: string;
  /** Failed checks, in words; empty when all passed. */
  readonly failed: readonly string[];
  /** How many ran. */
  readonly checks: number;
}

/** As a pool keeps it: `parseAbout` reads it back. */
export function aboutText(about: ImageAbout): string {
  const wrong = mismatch(JSON.parse(JSON.stringify(about)), aboutShape);
  assert(!wrong, `what is written on an image: ${wrong?.field} ${wrong?.what}, expected ${wrong?.expected}`);
  return canonicalJson(about);
}

/**
 * What the pool keeps about an image, read back. Undefined for everything that we did not write, or a newer program
 * did: such an image is foreign, and nothing changes it.
 */
export function parseAbout(text: string): ImageAbout | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return mismatch(value, aboutShape) ? undefined : (value as ImageAbout);
}

const systemShape: Shape = {
  members: { systemHash: aDigest, imageHash: aDigest, lockHash: aDigest, builder: aText, publishedAt: aCount },
  optional: { commit: aText, isClean: aTruth },
};

const verdictShape: Shape = {
  members: { passed: aTruth, at: aCount, by: aText, failed: { list: aText }, checks: aCount },
};

const aboutShape: Shape = {
  members: {
    formatVersion: oneOf(1),
    centre: aText,
    machine: aText,
    role: oneOf("published", "candidate", "root", "volume", "trial"),
    stamp: matching("YYYYMMDDHHMM", /^\d{12}$/),
  },
  optional: {
    volume: aText,
    system: systemShape,
    verdict: verdictShape,
    forced: aText,
    intent: aText,
    shape: aText,
  },
};
