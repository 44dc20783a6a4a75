import type { FileEntry, FileTree } from "../../store/file-tree.ts";
import type { SystemManifest } from "../manifest.ts";

/** One thing about a finished system that would fail without a word, or that somebody should know. */
export interface Finding {
  /** Kebab-case, for scripts and for allow-lists. */
  readonly check: string;
  /** "error": it will not work; "warning": it may not; "note": it is so. */
  readonly severity: "error" | "warning" | "note";
  /** In the tree; absent for what concerns the whole system. */
  readonly path?: string;
  /** The package or service that brings it. */
  readonly origin?: string;
  readonly what: string;
  readonly hint?: string;
}

export interface LintInput {
  readonly tree: FileTree;
  readonly manifest: SystemManifest;
  readonly readFile: (entry: FileEntry) => Uint8Array;
}

export type Check = (input: LintInput) => Finding[];
