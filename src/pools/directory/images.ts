import { linkSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { checkName } from "../image-name.ts";
import type { ImageName, Pool } from "../pool.ts";
import type { Alone } from "./alone.ts";
import { collectLayers, freeze, readSnapshots } from "./frozen-layers.ts";
import {
  anyImage,
  diskFile,
  findImage,
  type ImageFile,
  imageExists,
  imageFiles,
  isTaken,
  ourImage,
  poolImage,
  refuseChildren,
  writeAbout,
} from "./image-files.ts";
import { newImage, renameOntoFree, writeEmptyDisk } from "./new-image.ts";
import { openersOf, refuseOpeners } from "./openers.ts";
import { namesIn, type Places, removeWhole, syncFolder } from "./places.ts";
import { publishImages } from "./publish.ts";
import { noSnapshot } from "./volumes.ts";

type Images = Pick<
  Pool,
  "list" | "publish" | "clone" | "rename" | "describe" | "adopt" | "remove" | "openers" | "usage"
>;

export function directoryImages(places: Places, alone: Alone): Images {
  return {
    list: async () => imageFiles(places).map((image) => poolImage(places, image)),
    publish: async (publications, sources) => {
      for (const { name } of publications) checkName(name);
      return alone("base", () => publishImages(places, publications, sources), sources.signal);
    },
    clone: async ({ image, snapshot }, name, about) => {
      for (const each of [image, name, ...(snapshot === undefined ? [] : [snapshot])]) checkName(each);
      await alone("images", async () => {
        const source = ourImage(places, image);
        if (isTaken(places, name)) throw imageExists(name, "");
        const { size } = poolImage(places, source);
        const below = snapshot === undefined ? await standingFile(source) : snapshotFile(source, snapshot);
        const backing = { file: `../${image}/${below}`, format: below.endsWith(".raw") ? "raw" : "qcow2" } as const;
        await newImage(places, name, about, (folder) => writeEmptyDisk(join(folder, diskFile), size, backing));
      });
    },
    rename: async (from, to) => {
      for (const name of [from, to]) checkName(name);
      await alone("images", async () => {
        const image = ourImage(places, from);
        if (isTaken(places, to)) throw imageExists(to, "");
        refuseChildren(places, from);
        await refuseOpeners(from, image.path);
        if (image.isPlain) await moveIntoFolder(places, image, to);
        else renameOntoFree(join(places.images, from), join(places.images, to), to);
        syncFolder(places.images);
      });
    },
    describe: async (name, about) => {
      checkName(name);
      await alone("images", () => writeAbout(places, ourImage(places, name), about));
    },
    adopt: async (name, about) => {
      checkName(name);
      await alone("images", () => writeAbout(places, anyImage(places, name), about));
    },
    remove: async (name) => {
      checkName(name);
      await alone("images", async () => {
        if (!findImage(places, name)) return;
        const image = ourImage(places, name);
        refuseChildren(places, name);
        await refuseOpeners(name, image.path);
        const { parent } = poolImage(places, image);
        // Killed in between, an adopted image is foreign again: rather that than a note about a file to come.
        if (image.isPlain) rmSync(adoptedNote(places, name), { force: true });
        removeWhole(join(places.images, name));
        if (parent !== undefined) await collectLayers(places, join(places.images, parent));
      });
    },
    openers: async (name) => {
      const image = findImage(places, checkName(name));
      return image ? openersOf(image.path) : [];
    },
    usage: async () => {
      const usage = new Map<ImageName, number>([["", bytesUsed(places.base)]]);
      for (const { name } of imageFiles(places)) usage.set(name, bytesUsed(join(places.images, name)));
      return usage;
    },
  };
}

/** A file of the image that will never change: its disk, when it is published; else a layer that is frozen now. */
async function standingFile(image: ImageFile): Promise<string> {
  if (image.about?.role === "published" && !image.isPlain) return diskFile;
  await refuseOpeners(image.name, image.path);
  return freeze(image);
}

function snapshotFile({ name, path }: ImageFile, snapshot: string): string {
  const layer = readSnapshots(dirname(path)).get(snapshot);
  if (layer === undefined) throw noSnapshot(name, snapshot);
  return layer;
}

/** An adopted image gets a folder as all of ours have. The rename of that is the moment; its former name goes after. */
async function moveIntoFolder(places: Places, { name, path, format, about }: ImageFile, to: ImageName): Promise<void> {
  await newImage(places, to, about!, (folder) => linkSync(path, join(folder, `disk.${format}`)));
  rmSync(adoptedNote(places, name), { force: true });
  rmSync(path);
}

function adoptedNote(places: Places, name: ImageName): string {
  return join(places.adopted, `${name}.json`);
}

/** Of a file, or of all below a folder: what is really there, without holes. */
function bytesUsed(path: string): number {
  const status = statSync(path, { throwIfNoEntry: false });
  if (!status) return 0;
  if (!status.isDirectory()) return status.blocks * 512;
  return namesIn(path).reduce((sum, name) => sum + bytesUsed(join(path, name)), 0);
}
