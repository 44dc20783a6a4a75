/**
 * The tree of a file system as a value: what packages, hooks and services contribute to, and what the
 * file-system writers turn into extents. Contents stay where they are and are only pointed to.
 */

/** Where a file's bytes are. */
export type ContentSource =
  /** In the data file of a segment, from `offset` (bytes, a multiple of 4096). */
  | { readonly kind: "segment"; readonly segment: string; readonly offset: number }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array };

export interface Attributes {
  /** Permission bits with set-uid, set-gid and sticky: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  /** Extended attributes by full name: `security.capability`. */
  readonly xattrs?: Readonly<Record<string, Uint8Array>>;
  /** Who brings this path: a package's name, or a service and its source line. Never in an image. */
  readonly origin: string;
}

export interface FileEntry extends Attributes {
  readonly kind: "file";
  /** Bytes. */
  readonly size: number;
  readonly content: ContentSource;
}

export interface DirectoryEntry extends Attributes {
  readonly kind: "directory";
}

export interface SymlinkEntry extends Attributes {
  readonly kind: "symlink";
  readonly target: string;
}

/** Another name of a regular file; `target` is the absolute path of the entry that has kind "file". */
export interface HardLinkEntry extends Attributes {
  readonly kind: "hardlink";
  readonly target: string;
}

export type TreeEntry = FileEntry | DirectoryEntry | SymlinkEntry | HardLinkEntry;

/**
 * Entries by absolute, normalised path ("/usr/bin/env"; the root is "/"). Complete: the root and every
 * parent directory are there. Writers sort by bytes themselves; the order of iteration means nothing.
 */
export type FileTree = ReadonlyMap<string, TreeEntry>;

/** Segment contents start on this boundary, so that images can point at them block by block. Bytes. */
export const segmentAlignment = 4096;
