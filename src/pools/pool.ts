import type { Problem } from "../base/error.ts";
import type { DiskRecipe } from "../image/extent.ts";
import type { SegmentIdentity } from "../image/output/recipe-identity.ts";
import type { SegmentFiles } from "../image/output/recipe-reader.ts";
import type { ImageAbout } from "./about.ts";

/** Letters, digits, `.`, `_` and `-`, beginning with a letter or digit, 200 at most: what every pool takes. */
export type ImageName = string;

/** An image or volume of the pool. */
export interface PoolImage {
  readonly name: ImageName;
  /** Bytes, as the machine sees it. */
  readonly size: number;
  /** What we wrote on it; undefined for what is not ours, which nothing here ever changes. */
  readonly about: ImageAbout | undefined;
  /** The image whose blocks it shares, as long as it does; never the shared base. */
  readonly parent?: ImageName;
}

/** One disk to publish. */
export interface Publication {
  readonly name: ImageName;
  readonly recipe: DiskRecipe;
  readonly about: ImageAbout;
}

/** Where the bytes of recipes are: a store, and what it calls a segment's data. */
export interface PublishSources {
  readonly files: SegmentFiles;
  readonly identify: SegmentIdentity;
  readonly signal: AbortSignal;
  /** After each image that is there, whole. */
  readonly onPublished?: (name: ImageName, bytes: number) => void;
}

export interface PublishReport {
  /** Bytes sent to the pool: of what images share, and of the images themselves. */
  readonly sharedBytes: number;
  readonly ownBytes: number;
  /** Names that were there already, with the same image hash. */
  readonly unchanged: readonly ImageName[];
}

/** How QEMU (or a hypervisor) opens a disk of the pool. */
export type DiskLocation =
  | { readonly kind: "file"; readonly path: string; readonly format: "raw" | "qcow2" }
  | {
      readonly kind: "rbd";
      readonly pool: string;
      readonly image: string;
      readonly user: string;
      readonly configuration?: string;
      readonly keyring?: string;
      /** Proxmox's name of the storage. */
      readonly storage?: string;
    };

/** Who works on the pool, for as long as the lease is renewed. */
export interface Lease {
  /** `user@host process 4711` */
  readonly holder: string;
  /** What for: `deploy of plan 3f2a…`. */
  readonly purpose: string;
  /** Seconds since 1970. */
  readonly since: number;
  readonly expires: number;
}

/**
 * A place where images live. Verbs are small, may be killed at any moment and run again: each first looks whether its
 * goal holds. What is not ours (`about` undefined) is listed and never touched.
 *
 * Errors, closed set: `no-image`, `image-exists`, `image-in-use` (somebody has it open), `image-has-children`,
 * `foreign-image`, `pool-unreachable`, `pool-forbidden`, `pool-full`, `lease-held`, `wrong-image-name`, `no-snapshot`,
 * `wrong-journal-line`.
 */
export interface Pool {
  readonly kind: "directory" | "ceph";
  /** For messages: `the directory /srv/images`, `the Ceph pool rbd`. */
  readonly title: string;
  /** Everything that is missing, in words: reachability, rights, programs. */
  readonly check: () => Promise<readonly Problem[]>;
  /** All images and volumes at one moment, sorted by name; what is half-written is none. */
  readonly list: () => Promise<readonly PoolImage[]>;
  /**
   * Makes the images exist, whole, under their names, writing only what the pool does not hold yet: what several share,
   * once, into the base, then each image's own blocks. A name that exists with the same image hash is left alone.
   * @throws MesoError `image-exists` when it holds another image.
   */
  readonly publish: (publications: readonly Publication[], sources: PublishSources) => Promise<PublishReport>;
  /** A copy-on-write copy under another name. `source` is an image, or a snapshot of a volume. */
  readonly clone: (
    source: { readonly image: ImageName; readonly snapshot?: string },
    name: ImageName,
    about: ImageAbout,
  ) => Promise<void>;
  /** Refuses a taken name, atomically, an image that somebody has open and, in a directory, one with children. */
  readonly rename: (from: ImageName, to: ImageName) => Promise<void>;
  /** Replaces what is written on an image of ours. */
  readonly describe: (name: ImageName, about: ImageAbout) => Promise<void>;
  /** Makes an image ours that was not: `meso adopt`, and nothing else. One that is ours already is described anew. */
  readonly adopt: (name: ImageName, about: ImageAbout) => Promise<void>;
  /** Of ours only, without children or openers; with its snapshots. What is not there is fine. */
  readonly remove: (name: ImageName) => Promise<void>;
  /** An empty disk. One of that name and size is fine. */
  readonly createVolume: (name: ImageName, size: number, about: ImageAbout) => Promise<void>;
  /** Of a volume; one of that name is fine. Crash-consistent when the volume is in use, where the pool can do that. */
  readonly snapshot: (name: ImageName, snapshot: string) => Promise<void>;
  readonly snapshots: (name: ImageName) => Promise<readonly string[]>;
  readonly removeSnapshot: (name: ImageName, snapshot: string) => Promise<void>;
  /** Brings a volume's contents back; refused while somebody has it open. */
  readonly restoreSnapshot: (name: ImageName, snapshot: string) => Promise<void>;
  /** Who has the image open for writing, in words; empty when nobody has. */
  readonly openers: (name: ImageName) => Promise<readonly string[]>;
  readonly disk: (name: ImageName) => DiskLocation;
  /** Bytes that the pool uses for an image beyond what it shares, and for the base under the name "". */
  readonly usage: () => Promise<ReadonlyMap<ImageName, number>>;
  /** Takes the lease, or renews one's own. @throws MesoError `lease-held` with holder, age and purpose. */
  readonly takeLease: (lease: Lease) => Promise<void>;
  readonly lease: () => Promise<Lease | undefined>;
  /** Gives it back; with `holder` undefined, whoever holds it: `meso unlock`. */
  readonly releaseLease: (holder: string | undefined) => Promise<void>;
  /** Lines of the journal, oldest first; each is one JSON object without line breaks. Kept to the newest 1,000. */
  readonly journal: () => Promise<readonly string[]>;
  readonly appendJournal: (line: string) => Promise<void>;
  /**
   * Documents lie beside the images: what a system consists of, by its hash, so that any host can compare two of them.
   * Written whole or not at all; one of that name is replaced. Names are as those of images; 16 MiB at most.
   */
  readonly putDocument: (name: string, bytes: Uint8Array) => Promise<void>;
  readonly document: (name: string) => Promise<Uint8Array | undefined>;
  /** Names, sorted. */
  readonly documents: () => Promise<readonly string[]>;
  /** What is not there is fine. */
  readonly removeDocument: (name: string) => Promise<void>;
  /** Removes what killed publications left. Gives the names. */
  readonly sweep: () => Promise<readonly string[]>;
}
