import { rmSync } from "node:fs";
import { join } from "node:path";
import { openBase, removeUnusedLayers, renewBase } from "./base-layers.ts";
import { collectLayers } from "./frozen-layers.ts";
import { findImage, leftOfRenames, readText, usedLayers } from "./image-files.ts";
import { isAside, namesIn, type Places, sweepAside } from "./places.ts";
import { sharedFile } from "./publish.ts";

/**
 * Removes what killed processes left, notes about images that are gone, layers that no image lies upon, and what of
 * the base no image shows any more, when that has become much. Gives the names.
 */
export async function sweepDirectory(places: Places): Promise<readonly string[]> {
  const { images, base, documents, adopted, folder } = places;
  const gone = [folder, images, base, documents, adopted].flatMap(sweepAside);
  for (const { name, path } of leftOfRenames(places)) {
    rmSync(path);
    gone.push(name);
  }
  const shown = new Set<string>();
  for (const name of namesIn(images).filter((one) => !isAside(one))) {
    const image = findImage(places, name);
    if (!image?.about || image.isPlain) continue;
    gone.push(...sweepAside(join(images, name)), ...(await collectLayers(places, join(images, name))));
    for (const content of contentsShown(join(images, name))) shown.add(content);
  }
  for (const note of namesIn(adopted)) {
    const name = note.replace(/\.json$/, "");
    const image = findImage(places, name);
    if (image?.isPlain && image.about) continue;
    rmSync(join(adopted, note), { force: true });
    gone.push(note);
  }
  const renewed = await renewBase(places, openBase(places), shown);
  const top = renewed?.chain.at(-1)?.name;
  gone.push(...removeUnusedLayers(places, [...usedLayers(places), ...(top === undefined ? [] : [top])]));
  return gone;
}

function contentsShown(folder: string): string[] {
  const text = readText(join(folder, sharedFile));
  if (text === undefined) return [];
  const value: unknown = JSON.parse(text);
  return Array.isArray(value) ? value.filter((content) => typeof content === "string") : [];
}
