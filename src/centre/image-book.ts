import { failure } from "../base/error.ts";
import type { ImageAbout } from "../pools/about.ts";
import type { ImageName, Pool, PoolImage } from "../pools/pool.ts";

/**
 * The pool's images as they are known: whoever holds the lease is the only one who changes what is ours, so that one
 * look is enough until an answer is lost.
 */
export interface ImageBook {
  readonly get: (name: ImageName) => PoolImage | undefined;
  readonly all: () => Iterable<PoolImage>;
  /** @throws MesoError `no-image` or `foreign-image`. */
  readonly ours: (name: ImageName) => PoolImage & { readonly about: ImageAbout };
  readonly refresh: () => Promise<void>;
  readonly clone: (
    source: { image: ImageName; snapshot?: string },
    name: ImageName,
    about: ImageAbout,
  ) => Promise<void>;
  readonly rename: (from: ImageName, to: ImageName) => Promise<void>;
  readonly describe: (name: ImageName, about: ImageAbout) => Promise<void>;
  readonly remove: (name: ImageName) => Promise<void>;
  readonly createVolume: (name: ImageName, size: number, about: ImageAbout) => Promise<void>;
}

/** @param guard throws when nothing may be changed any more */
export function imageBook(pool: Pool, seen: readonly PoolImage[], guard: () => void): ImageBook {
  let images = new Map(seen.map((image) => [image.name, image]));
  const ours: ImageBook["ours"] = (name) => {
    const image = images.get(name);
    if (!image) throw failure("no-image", `${name} is not in ${pool.title}`);
    if (!image.about) throw failure("foreign-image", `${name} is not ours`);
    return image as ReturnType<ImageBook["ours"]>;
  };
  return {
    get: (name) => images.get(name),
    all: () => images.values(),
    ours,
    refresh: async () => {
      images = new Map((await pool.list()).map((image) => [image.name, image]));
    },
    clone: async (source, name, about) => {
      guard();
      await pool.clone(source, name, about);
      images.set(name, { name, size: images.get(source.image)?.size ?? 0, about, parent: source.image });
    },
    rename: async (from, to) => {
      guard();
      await pool.rename(from, to);
      const image = images.get(from);
      images.delete(from);
      if (image) images.set(to, { ...image, name: to });
    },
    describe: async (name, about) => {
      guard();
      await pool.describe(name, about);
      const image = images.get(name);
      if (image) images.set(name, { ...image, about });
    },
    remove: async (name) => {
      guard();
      await pool.remove(name);
      images.delete(name);
    },
    createVolume: async (name, size, about) => {
      guard();
      await pool.createVolume(name, size, about);
      images.set(name, { name, size, about });
    },
  };
}
