import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { DiskImage } from "./disk-image.ts";
import { decodeImage, encodeImage } from "./recipe-file.ts";
import type { BuildSession } from "./session.ts";

/** The image that an earlier run laid out, when the store still has all that it points to. */
export function keptDiskImage(session: BuildSession, key: string): DiskImage | undefined {
  const file = keptFile(session, key);
  const text = readIfThere(file);
  const decoded = text && decodeImage(text);
  if (!decoded) return undefined;
  const ends = new Map<string, number>();
  for (const { length, source } of decoded.recipe.extents) {
    if (source.kind !== "segment") continue;
    ends.set(source.segment, Math.max(ends.get(source.segment) ?? 0, source.offset + length));
  }
  // A data file that is too short is found damaged, and made again, only by who asks for its segment.
  const isThere = ([id, end]: [string, number]): boolean => (session.store.useSegment(id) ?? -1) >= end;
  return [...ends].every(isThere) ? { key, ...decoded } : undefined;
}

/** A collection may take it at any moment. */
function readIfThere(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Keeps an image under its key; `packed` is its recipe as `packRecipe` gives it. */
export function keepDiskImage(session: BuildSession, image: DiskImage, packed: Uint8Array): void {
  const file = keptFile(session, image.key);
  mkdirSync(dirname(file), { recursive: true });
  const aside = session.store.temporaryPath();
  writeFileSync(aside, encodeImage(image, packed));
  renameSync(aside, file);
}

/** Whether there is an image of that key, looking at nothing inside it. */
export function isDiskImageKept(session: BuildSession, key: string): boolean {
  return existsSync(keptFile(session, key));
}

function keptFile({ store }: BuildSession, key: string): string {
  return join(store.directory, "cache", "recipes", key);
}
