import { execFile } from "node:child_process";
import { existsSync, linkSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { canonicalJson } from "../../base/canonical.ts";
import { failure } from "../../base/error.ts";
import { matching, mismatch, oneOf, type Shape } from "../../base/shape.ts";
import { readQcow2Header } from "../../image/output/qcow2-header.ts";
import { isName } from "../image-name.ts";
import { dependants, diskFile, type ImageFile, readText } from "./image-files.ts";
import { writeEmptyDisk } from "./new-image.ts";
import { openersOf } from "./openers.ts";
import { asideIn, namesIn, type Places, replaceFile, syncFolder } from "./places.ts";

const run = promisify(execFile);

/**
 * Keeps what a disk holds now: its file becomes a layer beside it that is never written again, and the disk an empty
 * file over that. Snapshots are names of such layers; clones lie over them. The disk must not be open.
 *
 * @returns The layer's file name.
 */
export async function freeze({ path, format, isPlain, name }: ImageFile): Promise<string> {
  if (isPlain) {
    throw failure(
      "foreign-image",
      `${name} lies where another program put it, and can have neither snapshots nor clones`,
      {
        hint: "give it a name of this program's first",
      },
    );
  }
  const folder = dirname(path);
  const numbers = namesIn(folder).flatMap((file) => layerPattern.exec(file)?.[1] ?? []);
  const layer = `layer-${Math.max(0, ...numbers.map(Number)) + 1}.${format}`;
  const size = readQcow2Header(path)?.size ?? statSync(path).size;
  // A second name for the same file. Killed before the rename, it is a layer that nothing lies over.
  linkSync(path, join(folder, layer));
  await putDiskOver(folder, layer, size);
  if (format === "raw") rmSync(path);
  return layer;
}

const layerPattern = /^layer-(\d+)\.(qcow2|raw)$/;

/** Replaces the disk of an image by an empty one over a layer of its own, at one moment. */
export async function putDiskOver(folder: string, layer: string, size: number): Promise<void> {
  const aside = asideIn(folder);
  try {
    await writeEmptyDisk(aside, size, { file: layer, format: layer.endsWith(".raw") ? "raw" : "qcow2" });
    renameSync(aside, join(folder, diskFile));
  } catch (error) {
    rmSync(aside, { force: true });
    throw error;
  }
  syncFolder(folder);
}

/**
 * By name, in the order in which they were taken, the layers that are snapshots.
 *
 * @throws MesoError `pool-unreachable` when their list cannot be read: taken for empty, it would cost the snapshots.
 */
export function readSnapshots(folder: string): ReadonlyMap<string, string> {
  const path = join(folder, snapshotsFile);
  const text = readText(path);
  if (text === undefined) return new Map();
  const list = parseSnapshots(text);
  if (!list) throw failure("pool-unreachable", `${path} cannot be read`, { expected: "the list of snapshots" });
  return new Map(list.map(({ name, layer }) => [name, layer]));
}

interface Snapshot {
  readonly name: string;
  /** A file beside the disk. */
  readonly layer: string;
}

function parseSnapshots(text: string): readonly Snapshot[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return mismatch(value, snapshotsShape) ? undefined : (value as { snapshots: Snapshot[] }).snapshots;
  } catch {
    return undefined;
  }
}

export function writeSnapshots(folder: string, snapshots: ReadonlyMap<string, string>): void {
  const list = [...snapshots].map(([name, layer]) => ({ name, layer }));
  replaceFile(join(folder, snapshotsFile), canonicalJson({ formatVersion: 1, snapshots: list }));
}

const snapshotsFile = "snapshots.json";

const snapshotsShape: Shape = {
  members: {
    formatVersion: oneOf(1),
    snapshots: {
      list: { members: { name: { expected: "a name", holds: isNameText }, layer: matching("a layer", layerPattern) } },
    },
  },
};

function isNameText(value: unknown): boolean {
  return typeof value === "string" && isName(value);
}

/**
 * Gives back layers that are no snapshot any more: removed when nothing lies over them, and made one with the file
 * over them when that is the only one. What cannot be done now, because a machine runs, is left for another time.
 *
 * @returns The files that went.
 */
export async function collectLayers(places: Places, folder: string): Promise<string[]> {
  const gone: string[] = [];
  if (existsSync(join(folder, diskFile)) && existsSync(join(folder, "disk.raw"))) {
    rmSync(join(folder, "disk.raw"));
    gone.push("disk.raw");
  }
  const named = new Set(readSnapshots(folder).values());
  const layers = namesIn(folder).filter((file) => layerPattern.test(file) && !named.has(file));
  for (const layer of layers) {
    const path = join(folder, layer);
    const over = dependants(places).get(path) ?? [];
    if (over.length === 0) rmSync(path);
    else if (over.length > 1 || dirname(over[0]!) !== folder || !(await mergeInto(path, over[0]!))) continue;
    gone.push(layer);
  }
  if (gone.length > 0) syncFolder(folder);
  return gone.map((file) => `${basename(folder)}/${file}`);
}

/**
 * Writes what the upper file holds into the lower one, which nobody else sees, and lets that take its place. At any
 * moment the upper file's name reads the same.
 */
async function mergeInto(lower: string, upper: string): Promise<boolean> {
  if (!lower.endsWith(".qcow2") || (await openersOf(upper)).length > 0) return false;
  try {
    await run("qemu-img", ["commit", "-q", "-d", "-f", "qcow2", upper]);
  } catch {
    // Its lock says that a machine reads it: it only costs room.
    return false;
  }
  renameSync(lower, upper);
  return true;
}
