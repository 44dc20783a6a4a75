import { join } from "node:path";
import { assert } from "../../base/error.ts";
import { diskRecipe } from "../../image/extent.ts";
import { qcow2Layer } from "../../image/output/qcow2.ts";
import { writeRaw } from "../../image/output/write-raw.ts";
import type { Publication, PublishReport, PublishSources } from "../pool.ts";
import { addLayer, type Base, filesWith, layerDisk, openBase } from "./base-layers.ts";
import { clipped, missingRuns, type Naming, namingBy, overlayOf } from "./base-view.ts";
import { diskFile, findImage, imageExists, isTaken } from "./image-files.ts";
import { newImage } from "./new-image.ts";
import { type Places, sealFile, writeSynced } from "./places.ts";

/** Names of the contents that an image shows of the base, beside it: tells what of the base is still of use. */
export const sharedFile = "shared.json";

/**
 * Publishes disks: the segments that the base lacks become one layer of it, then each image a file over the base that
 * holds what is its own. The caller sees to it that nobody else changes the base meanwhile.
 */
export async function publishImages(
  places: Places,
  publications: readonly Publication[],
  sources: PublishSources,
): Promise<PublishReport> {
  const names = new Set(publications.map(({ name }) => name));
  assert(names.size === publications.length, "each name is published once");
  const unchanged = publications.filter((publication) => isThere(places, publication)).map(({ name }) => name);
  const fresh = publications.filter(({ name }) => !unchanged.includes(name));
  if (fresh.length === 0) return { sharedBytes: 0, ownBytes: 0, unchanged };
  sources.signal.throwIfAborted();
  const naming = namingBy(sources.identify);
  const recipes = fresh.map(({ recipe }) => recipe);
  const before = openBase(places);
  const missing = missingRuns(recipes, before.view, naming);
  const size = Math.max(...recipes.map((recipe) => recipe.size));
  const added =
    missing.length > 0 ? await addLayer(places, before, missing, size, filesWith(places, sources.files)) : undefined;
  const ownBytes = await writeImages(places, fresh, added?.base ?? before, sources, naming);
  return { sharedBytes: added?.bytes ?? 0, ownBytes, unchanged };
}

/** @throws MesoError `image-exists` when the name holds something else. */
function isThere(places: Places, { name, about }: Publication): boolean {
  if (!isTaken(places, name)) return false;
  const there = findImage(places, name)?.about;
  const wanted = about.system?.imageHash;
  assert(about.role === "published" && wanted, "what is published says which image it is");
  if (there?.role === "published" && there.system?.imageHash === wanted) return true;
  throw imageExists(name, there ? `, with another system, of ${there.machine}` : ", and is not this program's");
}

/** While one is being written, those before reach the disk. */
async function writeImages(
  places: Places,
  publications: readonly Publication[],
  base: Base,
  sources: PublishSources,
  naming: Naming,
): Promise<number> {
  const underWay = new Set<Promise<void>>();
  let failed: { readonly error: unknown } | undefined;
  let ownBytes = 0;
  for (const publication of publications) {
    if (underWay.size >= atOnce) await Promise.race(underWay);
    if (failed || sources.signal.aborted) break;
    const task = writeImage(places, publication, base, sources, naming)
      .then((bytes) => {
        ownBytes += bytes;
        sources.onPublished?.(publication.name, bytes);
      })
      .catch((error: unknown) => {
        failed ??= { error };
      })
      .finally(() => underWay.delete(task));
    underWay.add(task);
  }
  await Promise.all(underWay);
  if (failed) throw failed.error;
  sources.signal.throwIfAborted();
  return ownBytes;
}

/** As many as libuv has threads to wait in. */
const atOnce = 4;

async function writeImage(
  places: Places,
  { name, recipe, about }: Publication,
  base: Base,
  { files }: PublishSources,
  naming: Naming,
): Promise<number> {
  const { own, zeros, contents } = overlayOf(recipe, base.view, naming);
  const top = base.chain.at(-1)?.name;
  const disk = diskRecipe(recipe.size, clipped(recipe.extents, own));
  const backing =
    top === undefined ? {} : { backing: { file: `../../base/${top}/${layerDisk}`, format: "qcow2" } as const };
  const { file } = qcow2Layer(disk, { ...backing, zeros });
  return newImage(places, name, about, async (folder) => {
    const bytes = writeRaw(file, join(folder, diskFile), files);
    writeSynced(join(folder, sharedFile), JSON.stringify([...contents].sort()));
    await sealFile(join(folder, diskFile));
    return bytes;
  });
}
