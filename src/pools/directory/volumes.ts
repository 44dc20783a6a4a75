import { dirname, join } from "node:path";
import { failure, type MesoError } from "../../base/error.ts";
import { checkName } from "../image-name.ts";
import type { ImageName, Pool } from "../pool.ts";
import type { Alone } from "./alone.ts";
import { collectLayers, freeze, putDiskOver, readSnapshots, writeSnapshots } from "./frozen-layers.ts";
import { anyImage, diskFile, findImage, imageExists, isTaken, ourImage, poolImage } from "./image-files.ts";
import { newImage, writeEmptyDisk } from "./new-image.ts";
import { refuseOpeners } from "./openers.ts";
import type { Places } from "./places.ts";

type Volumes = Pick<Pool, "createVolume" | "snapshot" | "snapshots" | "removeSnapshot" | "restoreSnapshot">;

/** A snapshot is the name of a layer below the volume's disk that is never written again. */
export function directoryVolumes(places: Places, alone: Alone): Volumes {
  return {
    createVolume: async (name, size, about) => {
      checkName(name);
      await alone("images", async () => {
        const there = findImage(places, name);
        const isThere = there?.about?.role === "volume" && poolImage(places, there).size === size;
        if (isThere) return;
        if (isTaken(places, name)) throw imageExists(name, ", and is not such a volume");
        await newImage(places, name, about, (folder) => writeEmptyDisk(join(folder, diskFile), size));
      });
    },
    snapshot: async (name, snapshot) => {
      for (const each of [name, snapshot]) checkName(each);
      await alone("images", async () => {
        const image = ourImage(places, name);
        const folder = dirname(image.path);
        const snapshots = readSnapshots(folder);
        if (snapshots.has(snapshot)) return;
        // QEMU writes into the file that it has open: a layer put below it now would be written on.
        await refuseOpeners(name, image.path);
        writeSnapshots(folder, new Map([...snapshots, [snapshot, await freeze(image)]]));
      });
    },
    snapshots: async (name) => {
      const image = anyImage(places, checkName(name));
      return image.isPlain ? [] : [...readSnapshots(dirname(image.path)).keys()];
    },
    removeSnapshot: async (name, snapshot) => {
      for (const each of [name, snapshot]) checkName(each);
      await alone("images", async () => {
        const folder = dirname(ourImage(places, name).path);
        const snapshots = new Map(readSnapshots(folder));
        if (!snapshots.delete(snapshot)) return;
        writeSnapshots(folder, snapshots);
        await collectLayers(places, folder);
      });
    },
    restoreSnapshot: async (name, snapshot) => {
      for (const each of [name, snapshot]) checkName(each);
      await alone("images", async () => {
        const image = ourImage(places, name);
        const folder = dirname(image.path);
        const layer = readSnapshots(folder).get(snapshot);
        if (layer === undefined) throw noSnapshot(name, snapshot);
        await refuseOpeners(name, image.path);
        await putDiskOver(folder, layer, poolImage(places, image).size);
        await collectLayers(places, folder);
      });
    },
  };
}

export function noSnapshot(name: ImageName, snapshot: string): MesoError {
  return failure("no-snapshot", `${name} has no snapshot ${snapshot}`);
}
