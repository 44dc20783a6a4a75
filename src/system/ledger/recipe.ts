import type { Effects } from "./effects.ts";
import type { ScriptedPackage } from "./examine-scripts.ts";

/**
 * The project's word that what a package's maintainer scripts leave unexplained was read by a person.
 * `residues` are digests of what examining leaves (`examineScripts`), not of whole scripts: they outlive
 * point releases that change comments, generated fragments or upgrade paths, and nothing else.
 */
export interface Recipe {
  /** Package name. A trailing `*` stands for any ending. */
  readonly package: string;
  /** SHA-256 in hexadecimal, one for each script and release. */
  readonly residues: readonly string[];
  /** What the unexplained part does, and why what is given here is all that a volatile machine needs of it. */
  readonly why: string;
  readonly gives?: Effects | ((debian: ScriptedPackage) => Effects);
}
