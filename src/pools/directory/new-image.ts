import { mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { diskRecipe } from "../../image/extent.ts";
import { type Backing, qcow2Layer } from "../../image/output/qcow2.ts";
import { writeRaw } from "../../image/output/write-raw.ts";
import { aboutText, type ImageAbout } from "../about.ts";
import type { ImageName } from "../pool.ts";
import { aboutFile, imageExists, isTaken } from "./image-files.ts";
import { asideIn, type Places, syncFile, syncFolder, writeSynced } from "./places.ts";

/**
 * Makes an image appear whole: `fill` writes its files into a folder aside, which then gets the name. Half of one is
 * never seen, and of two that want the same name one is refused.
 *
 * @throws MesoError `image-exists`.
 */
export async function newImage<T>(
  places: Places,
  name: ImageName,
  about: ImageAbout,
  fill: (folder: string) => T | Promise<T>,
): Promise<T> {
  if (isTaken(places, name)) throw imageExists(name, "");
  const aside = asideIn(places.images);
  mkdirSync(aside);
  try {
    const result = await fill(aside);
    writeSynced(join(aside, aboutFile), aboutText(about));
    renameOntoFree(aside, join(places.images, name), name);
    syncFolder(places.images);
    return result;
  } catch (error) {
    rmSync(aside, { recursive: true, force: true });
    throw error;
  }
}

/**
 * Renames the folder of an image. It holds files, and so does any other image's: rename(2) then refuses a name that
 * is taken, atomically. Only what is no image, an empty folder, would be replaced.
 *
 * @throws MesoError `image-exists`.
 */
export function renameOntoFree(from: string, to: string, name: ImageName): void {
  try {
    renameSync(from, to);
  } catch (error) {
    const taken = ["ENOTEMPTY", "EEXIST", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "");
    throw taken ? imageExists(name, "") : error;
  }
}

/** Writes a disk of `size` bytes that shows what it lies over, or zeros, and holds nothing itself. */
export async function writeEmptyDisk(path: string, size: number, backing?: Backing): Promise<void> {
  writeRaw(qcow2Layer(diskRecipe(size, []), backing ? { backing } : {}).file, path, { segmentDataPath: (id) => id });
  await syncFile(path);
}
