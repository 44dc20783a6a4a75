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
  /** Of a root: names the cores, memory and nics that its machine was last defined with. */
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
