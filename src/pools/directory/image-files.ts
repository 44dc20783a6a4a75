import { lstatSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { failure } from "../../base/error.ts";
import { readQcow2Header } from "../../image/output/qcow2-header.ts";
import { aboutText, type ImageAbout, parseAbout } from "../about.ts";
import { isName } from "../image-name.ts";
import type { DiskLocation, ImageName, PoolImage } from "../pool.ts";
import { isAside, namesIn, type Places, replaceFile } from "./places.ts";

/** The file of an image, and what the pool knows of it. */
export interface ImageFile {
  readonly name: ImageName;
  readonly path: string;
  readonly format: "raw" | "qcow2";
  /** Undefined when it is not ours. */
  readonly about: ImageAbout | undefined;
  /** Not in a folder of its own: other programs put it there. */
  readonly isPlain: boolean;
}

export const diskFile = "disk.qcow2";
export const aboutFile = "about.json";

/** The image of that name, as it is now. */
export function findImage(places: Places, name: ImageName): ImageFile | undefined {
  const path = join(places.images, name);
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status?.isDirectory()) {
    for (const format of ["qcow2", "raw"] as const) {
      const disk = join(path, `disk.${format}`);
      if (!isFile(disk)) continue;
      const about = readText(join(path, aboutFile));
      return { name, path: disk, format, isPlain: false, about: about === undefined ? undefined : parseAbout(about) };
    }
  }
  if (!isFile(path)) return undefined;
  const format = readQcow2Header(path) ? "qcow2" : "raw";
  return { name, path, format, isPlain: true, about: adoptedAbout(places, name, statSync(path).ino) };
}

/** @throws MesoError `no-image`, and `foreign-image` when it is not ours. */
export function ourImage(places: Places, name: ImageName): ImageFile & { readonly about: ImageAbout } {
  const image = anyImage(places, name);
  const { about } = image;
  if (!about) {
    throw failure("foreign-image", `${name} was not made by this program`, {
      hint: "it is left as it is; meso adopt makes it this program's",
    });
  }
  return { ...image, about };
}

/** @throws MesoError `no-image`. */
export function anyImage(places: Places, name: ImageName): ImageFile {
  const image = findImage(places, name);
  if (!image) throw failure("no-image", `there is no image ${name} in ${places.folder}`);
  return image;
}

/** Whether anything has that name, image or not. */
export function isTaken(places: Places, name: ImageName): boolean {
  return lstatSync(join(places.images, name), { throwIfNoEntry: false }) !== undefined;
}

export function imageExists(name: ImageName, more: string): Error {
  return failure("image-exists", `${name} is there already${more}`, { expected: "a name that is free" });
}

/** All images, sorted as `ImageName`s are. */
export function imageFiles(places: Places): ImageFile[] {
  const images = allFiles(places);
  return images.filter((image) => !isLeftOfRename(image, images));
}

/** What killed renamings of adopted images left: files that have been given a new name already. */
export function leftOfRenames(places: Places): ImageFile[] {
  const images = allFiles(places);
  return images.filter((image) => isLeftOfRename(image, images));
}

function allFiles(places: Places): ImageFile[] {
  const names = namesIn(places.images).filter((name) => !isAside(name));
  return names.sort().flatMap((name) => findImage(places, name) ?? []);
}

function isLeftOfRename(image: ImageFile, images: readonly ImageFile[]): boolean {
  if (!image.isPlain || !image.about) return false;
  const { ino, nlink } = statSync(image.path);
  return nlink > 1 && images.some(({ isPlain, path }) => !isPlain && statSync(path).ino === ino);
}

export function poolImage(places: Places, { name, path, format, about }: ImageFile): PoolImage {
  const header = format === "qcow2" ? readQcow2Header(path) : undefined;
  const parent = header && parentOf(places, path);
  const size = header?.size ?? statSync(path).size;
  return { name, size, about, ...(parent !== undefined && { parent }) };
}

/** Files below a disk, from the one that it names: its own frozen layers, its parent's disk, the base's. */
export function filesBelow(path: string): string[] {
  const files: string[] = [];
  for (let at = path; ; ) {
    const backing = readQcow2Header(at)?.backing;
    if (backing === undefined || files.length >= deepest) return files;
    at = join(dirname(at), backing);
    if (!isFile(at)) return files;
    files.push(at);
  }
}

/** QEMU itself fails on far fewer; what goes in circles ends here. */
const deepest = 300;

/** The image whose blocks a disk shares: the first below that is another's. */
function parentOf(places: Places, path: string): ImageName | undefined {
  const folder = dirname(path);
  const below = filesBelow(path).find((file) => dirname(file) !== folder);
  return below !== undefined && dirname(dirname(below)) === places.images ? basename(dirname(below)) : undefined;
}

/** For every file that some file lies directly over: which those are. All qcow2 files of all images are looked at. */
export function dependants(places: Places): Map<string, string[]> {
  const over = new Map<string, string[]>();
  for (const name of namesIn(places.images).filter((one) => !isAside(one))) {
    for (const path of qcow2Files(join(places.images, name))) {
      const backing = readQcow2Header(path)?.backing;
      if (backing === undefined) continue;
      const below = join(dirname(path), backing);
      over.set(below, [...(over.get(below) ?? []), path]);
    }
  }
  return over;
}

/** Names of images, other than itself, that lie over some file of this one. */
export function childrenOf(places: Places, name: ImageName): ImageName[] {
  const folder = join(places.images, name);
  const children = new Set<string>();
  for (const [below, files] of dependants(places)) {
    if (dirname(below) !== folder) continue;
    for (const file of files) if (dirname(file) !== folder) children.add(basename(dirname(file)));
  }
  return [...children].sort();
}

/** @throws MesoError `image-has-children`. */
export function refuseChildren(places: Places, name: ImageName): void {
  const children = childrenOf(places, name);
  if (children.length === 0) return;
  throw failure("image-has-children", `${children.join(", ")} ${children.length > 1 ? "lie" : "lies"} over ${name}`, {
    hint: "remove them first",
  });
}

/** Layers of the base that images lie upon. */
export function usedLayers(places: Places): Set<string> {
  const layers = new Set<string>();
  for (const below of dependants(places).keys()) {
    const folder = dirname(below);
    if (dirname(folder) === places.base) layers.add(basename(folder));
  }
  return layers;
}

/** Replaces what is written on an image of ours, or makes it ours. */
export function writeAbout(places: Places, { name, path, isPlain }: ImageFile, about: ImageAbout): void {
  if (isPlain) {
    const note = { inode: statSync(path).ino, about: aboutText(about) };
    replaceFile(join(places.adopted, `${name}.json`), JSON.stringify(note));
  } else replaceFile(join(dirname(path), aboutFile), aboutText(about));
}

/** An image that takes the name of one that was adopted, but is another file, is not ours. */
function adoptedAbout(places: Places, name: ImageName, inode: number): ImageAbout | undefined {
  const text = readText(join(places.adopted, `${name}.json`));
  if (text === undefined) return undefined;
  try {
    const record = JSON.parse(text) as { inode?: unknown; about?: unknown } | null;
    return record?.inode === inode && typeof record.about === "string" ? parseAbout(record.about) : undefined;
  } catch {
    return undefined;
  }
}

export function locationOf(places: Places, name: ImageName): DiskLocation {
  const image = isName(name) ? findImage(places, name) : undefined;
  if (image) return { kind: "file", path: image.path, format: image.format };
  return { kind: "file", path: join(places.images, name, diskFile), format: "qcow2" };
}

export function qcow2Files(folder: string): string[] {
  return namesIn(folder)
    .filter((name) => name.endsWith(".qcow2") && !isAside(name))
    .map((name) => join(folder, name))
    .filter(isFile);
}

export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}
