/**
 * A segment is one imported archive (or one hook's output): a data file that holds the contents of its
 * regular files, each starting on a multiple of `segmentAlignment`, and a table of everything else.
 * Images share segments: they point into the data file and never copy it.
 */

interface SegmentAttributes {
  /** Absolute, normalised, as the archive names it (before any usr-merge rewriting). */
  readonly path: string;
  /** 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Names in the archive, when they are not "root": numbers for them are decided per system. */
  readonly user?: string;
  readonly group?: string;
  /** Seconds since 1970. */
  readonly mtime: number;
  /** Extended attributes by full name: `security.capability`. */
  readonly xattrs?: Readonly<Record<string, Uint8Array>>;
}

export type SegmentEntry =
  | (SegmentAttributes & { readonly kind: "file"; readonly size: number; readonly offset: number })
  | (SegmentAttributes & { readonly kind: "directory" })
  | (SegmentAttributes & { readonly kind: "symlink"; readonly target: string })
  | (SegmentAttributes & { readonly kind: "hardlink"; readonly target: string });

export interface SegmentTable {
  /** The archive's SHA-256 (the hash of its inputs, for a hook's output), in hexadecimal. */
  readonly id: string;
  /** Length of the data file in bytes, a multiple of `segmentAlignment`; 0 when it has no contents. */
  readonly dataBytes: number;
  /** SHA-256 of the data file, in hexadecimal. */
  readonly dataSha256: string;
  /** In the archive's order. */
  readonly entries: readonly SegmentEntry[];
  /** Files about the archive, which lie with its data: what dpkg's database keeps of it. */
  readonly records?: readonly SegmentEntry[];
}

/** The control member of a `.deb`, kept whole, scripts included, none of which ever run. */
export interface DebianControl {
  /** Fields of the control file by name as written there: `Package`, `Version`, `Depends`. */
  readonly control: Readonly<Record<string, string>>;
  /** Every other file of the control member as text by name: `postinst`, `md5sums`, `conffiles`, `triggers`. */
  readonly controlFiles: Readonly<Record<string, string>>;
}

/** The segment of a `.deb`. The control part lies in a file of its own, read only by those who need it. */
export interface DebianSegment extends SegmentTable, DebianControl {}
