import type { DiskRange } from "../../image/extent.ts";

/** An image in RBD. */
export interface ImageSpec {
  readonly pool: string;
  readonly image: string;
}

export interface SnapshotSpec extends ImageSpec {
  readonly snapshot: string;
}

export interface StoredImage {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** What image-meta holds under our key. */
  readonly about: string | undefined;
  readonly parent: SnapshotSpec | undefined;
  /** By age; those that RBD keeps for clones whose snapshot was removed are not among them. */
  readonly snapshots: readonly string[];
}

/** A lock that the OSD keeps with an object (Ceph, src/cls/lock): taken and broken atomically, and given up by nobody. */
export interface LockPlace {
  readonly pool: string;
  readonly object: string;
  readonly name: string;
}

/** What is written to an image, in one go. */
export interface DiskChange {
  /** Bytes of the whole image, which it must have already. */
  readonly size: number;
  /** The snapshot that must be there, and the one that is made once all is written: the mark that it is whole. */
  readonly since?: string;
  readonly snapshot?: string;
  /** Ranges that will read as zeros; they overlap no write. */
  readonly zeros: readonly DiskRange[];
  /** Sorted, each within one object of 4 MiB. */
  readonly writes: readonly DiskRange[];
  /**
   * The same, to objects that neither the image nor its parent has, of an image that nobody else knows of and that has
   * no snapshot: these may be written in any way.
   */
  readonly fresh?: readonly DiskRange[];
  readonly read: (range: DiskRange) => Uint8Array;
  /** Told on the image before the snapshot. */
  readonly about?: string;
  readonly signal: AbortSignal;
}

/**
 * What is asked of RBD and RADOS: narrow, so that there can be several ways to ask. Calls answer with a `CephRefusal`
 * that bears the errno, or throw a MesoError `pool-unreachable`. Each is bounded in time.
 */
export interface RbdDriver {
  /** For messages. */
  readonly kind: string;
  readonly names: (pool: string) => Promise<readonly string[]>;
  /** Those of the names that are there. */
  readonly images: (pool: string, names: readonly string[]) => Promise<readonly StoredImage[]>;
  readonly create: (image: ImageSpec, size: number) => Promise<void>;
  /** Of format 2, which needs no protected snapshot. */
  readonly clone: (parent: SnapshotSpec, child: ImageSpec) => Promise<void>;
  readonly setAbout: (image: ImageSpec, about: string) => Promise<void>;
  readonly write: (image: ImageSpec, change: DiskChange) => Promise<void>;
  readonly rename: (from: ImageSpec, to: string) => Promise<void>;
  /** One without snapshots. */
  readonly remove: (image: ImageSpec) => Promise<void>;
  readonly createSnapshot: (snapshot: SnapshotSpec) => Promise<void>;
  readonly removeSnapshot: (snapshot: SnapshotSpec) => Promise<void>;
  readonly rollBack: (snapshot: SnapshotSpec) => Promise<void>;
  /** `pool/name` of the clones of all its snapshots. */
  readonly children: (image: ImageSpec) => Promise<readonly string[]>;
  /** `pool/name` of the clones of one snapshot. */
  readonly childrenOf: (snapshot: SnapshotSpec) => Promise<readonly string[]>;
  /** Who has it open for writing, in words. */
  readonly watchers: (image: ImageSpec) => Promise<readonly string[]>;
  /** What was written since the snapshot, or ever; exact where the cluster tells. */
  readonly changes: (image: ImageSpec, since: string | undefined) => Promise<readonly DiskRange[]>;
  /** Bytes of its own in whole objects, its snapshots included. */
  readonly usage: (image: ImageSpec) => Promise<number>;
  readonly flatten: (image: ImageSpec) => Promise<void>;
  /** Takes the lock for writing from whoever holds it; his later writes fail. */
  readonly breakLocks: (image: ImageSpec) => Promise<void>;
  readonly readObject: (pool: string, object: string) => Promise<Buffer | undefined>;
  /** Whole or not at all; 16 MiB at most. */
  readonly writeObject: (pool: string, object: string, bytes: Uint8Array) => Promise<void>;
  /** What is not there is fine. */
  readonly removeObject: (pool: string, object: string) => Promise<void>;
  /** Keys and values of an object, sorted by key; none when there is no such object. */
  readonly entries: (pool: string, object: string) => Promise<ReadonlyMap<string, Buffer>>;
  readonly setEntry: (pool: string, object: string, key: string, value: string) => Promise<void>;
  readonly removeEntries: (pool: string, object: string, keys: readonly string[]) => Promise<void>;
  /** Whether the lock could be taken. `cookie` names this taking, `description` is what others are told. */
  readonly lock: (place: LockPlace, cookie: string, description: string) => Promise<boolean>;
  /** Gives back what this driver took. False when it does not hold it: somebody has taken it away. */
  readonly unlock: (place: LockPlace, cookie: string) => Promise<boolean>;
}

/** Bytes of an object, as RBD cuts images unless told otherwise: no write crosses its border. */
export const objectBytes = 4 << 20;
