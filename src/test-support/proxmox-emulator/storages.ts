import { execFile } from "node:child_process";
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { died } from "./refusal.ts";

/** What backs a storage of the emulated cluster. It behaves as one of type rbd whatever lies below. */
export interface EmulatedStorage {
  /** All images of the pool, those that Proxmox does not see included. Sizes are in bytes. */
  readonly images: () => Promise<ReadonlyMap<string, number>>;
  /** With its snapshots. @throws Error when somebody has it open. */
  readonly remove: (image: string) => Promise<void>;
  /** How QEMU opens it. */
  readonly source: (image: string) => StorageSource;
}

export type StorageSource =
  | { readonly kind: "raw"; readonly path: string }
  | {
      readonly kind: "rbd";
      readonly pool: string;
      readonly image: string;
      readonly user: string;
      readonly configuration: string;
    }
  | { readonly kind: "none" };

export function memoryStorage(images: Map<string, number>): EmulatedStorage {
  return {
    images: async () => images,
    remove: async (image) => {
      if (!images.delete(image)) {
        throw died(`rbd error: rbd: error opening image ${image}: (2) No such file or directory`);
      }
    },
    source: () => ({ kind: "none" }),
  };
}

/** Raw files, named as the images. */
export function directoryStorage(folder: string): EmulatedStorage {
  return {
    images: async () => {
      const names = await readdir(folder);
      const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size));
      return new Map(names.map((name, index) => [name, sizes[index]!]));
    },
    remove: (image) => rm(join(folder, image)),
    source: (image) => ({ kind: "raw", path: join(folder, image) }),
  };
}

/** A pool of a real Ceph, asked with its own tool. */
export function rbdStorage(where: { configuration: string; pool: string; user: string }): EmulatedStorage {
  const run = promisify(execFile);
  const rbd = async (...args: string[]) => {
    const { stdout } = await run("rbd", ["-c", where.configuration, "--id", where.user, ...args]);
    return stdout;
  };
  return {
    images: async () => {
      const list = JSON.parse(await rbd("ls", "-l", "--format", "json", where.pool)) as {
        image: string;
        snapshot?: string;
        size: number;
      }[];
      return new Map(list.filter(({ snapshot }) => snapshot === undefined).map(({ image, size }) => [image, size]));
    },
    remove: async (image) => {
      const watchers = JSON.parse(await rbd("status", "--format", "json", `${where.pool}/${image}`)) as {
        watchers?: unknown[];
      };
      if ((watchers.watchers?.length ?? 0) > 0) {
        throw died("rbd error: rbd: error: image still has watchers");
      }
      await rbd("snap", "purge", `${where.pool}/${image}`);
      await rbd("rm", `${where.pool}/${image}`);
    },
    source: (image) => ({ kind: "rbd", image, ...where }),
  };
}

/** `STORAGE:vm-127-x`. @throws Refusal as the real plug-in does (RBDPlugin.pm `parse_volname`). */
export function parseVolume(volume: string): { storage: string; image: string; owner: number } {
  const [, storage, image] = /^([^:]+):(.+)$/.exec(volume) ?? [];
  if (storage === undefined || image === undefined) throw died(`unable to parse volume ID '${volume}'`);
  const owner = /^(?:base-\d+-[^/\s]+\/)?(?:vm|base)-(\d+)-[^\s/]+$/.exec(image)?.[1];
  if (owner === undefined) throw died(`unable to parse rbd volume name '${image}'`);
  return { storage, image, owner: Number(owner) };
}

/** As a configuration shows sizes. */
export function sizeText(bytes: number): string {
  for (const [unit, factor] of [
    ["G", 2 ** 30],
    ["M", 2 ** 20],
    ["K", 2 ** 10],
  ] as const) {
    if (bytes % factor === 0 && bytes > 0) return `${bytes / factor}${unit}`;
  }
  return String(bytes);
}
