/** Which cluster, as whom, and where in it: a centre's `cephPool` record without its defaults. */
export interface CephSettings {
  /** Holds the published images, the base they share, and lease, journal and documents. */
  readonly pool: string;
  /** Holds candidates, roots and volumes; may be the same. */
  readonly machinePool: string;
  /** Without `client.`. */
  readonly user: string;
  /** Default: where Ceph's programs look by themselves. */
  readonly configuration?: string | undefined;
  readonly keyring?: string | undefined;
  /** Proxmox's name of the storage that is `machinePool`. */
  readonly storage?: string | undefined;
  /**
   * How RBD is spoken to. `helper`: one process of Ceph's own Python modules for all calls; `commands`: a run of `rbd`
   * or `rados` for each. Unless said: the helper where its modules are installed.
   */
  readonly driver?: "helper" | "commands" | undefined;
}

/** Everything of ours that is no image of anybody begins so, in RBD's directory and among RADOS objects. */
export const ownPrefix = "mesoforge-";

/** What is not whole yet, or not gone yet, with the tag of the process that made it; the base that images share. */
export const newPrefix = `${ownPrefix}new.`;
export const gonePrefix = `${ownPrefix}gone.`;
export const basePrefix = `${ownPrefix}base.`;

/** Of a published image: made with its last byte, it is what clones are made of. */
export const publishedSnapshot = `${ownPrefix}published`;

/** Image-meta under which `ImageAbout` is kept. Names that begin with `conf_` would change librbd's settings. */
export const aboutKey = "mesoforge.about";
