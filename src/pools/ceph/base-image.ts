import { failure } from "../../base/error.ts";
import { hashOf, sha256 } from "../../base/hash.ts";
import { type DiskRange, type DiskRecipe, diskRecipe } from "../../image/extent.ts";
import { contentReader, readRecipe } from "../../image/output/recipe-reader.ts";
import type { PublishSources } from "../pool.ts";
import { withBaseLock } from "./base-lock.ts";
import type { CephContext } from "./context.ts";
import { aligned, bytesOf, cut, without } from "./ranges.ts";
import { type ImageSpec, objectBytes, type RbdDriver } from "./rbd-driver.ts";
import { basePrefix } from "./settings.ts";
import {
  decodePlaces,
  encodePlaces,
  missingPlaces,
  placeRanges,
  placesWithout,
  plannedBase,
  type SegmentPlaces,
} from "./shared-base.ts";

/** A snapshot of a base that clones can be made of; without `snapshot` there is none yet, and it holds nothing. */
export interface BaseSnapshot {
  readonly image: ImageSpec;
  readonly size: number;
  readonly snapshot: string | undefined;
  readonly places: SegmentPlaces;
}

/**
 * Disks of one size whose root file systems have their segments in the same region share a base: the file systems' own
 * blocks then lie where it has nothing, so that nothing is copied up for them.
 */
export function baseNameFor({ size, free = [] }: DiskRecipe): string {
  const [region] = [...free].sort((a, b) => b.length - a.length);
  return `${basePrefix}${hashOf({ size, region }).slice(0, 16)}`;
}

/** Each snapshot is `<number>-<seconds since 1970>-<digest of its table>`; the table lies beside it. */
export const baseSnapshotPattern = /^(\d{8})-(\d+)-[0-9a-f]{16}$/;

export function tableObject({ image }: ImageSpec, snapshot: string): string {
  return `${image}.${snapshot}`;
}

export async function newestBase(rbd: RbdDriver, image: ImageSpec, size: number): Promise<BaseSnapshot> {
  const snapshot = await newestSnapshot(rbd, image);
  if (snapshot === undefined) return { image, size, snapshot, places: new Map() };
  const table = await rbd.readObject(image.pool, tableObject(image, snapshot));
  return { image, size, snapshot, places: (table && decodePlaces(table)) ?? new Map() };
}

async function newestSnapshot(rbd: RbdDriver, image: ImageSpec): Promise<string | undefined> {
  const [found] = await rbd.images(image.pool, [image.image]);
  return found?.snapshots
    .filter((name) => baseSnapshotPattern.test(name))
    .sort()
    .at(-1);
}

/**
 * Sees to it that the base holds what the disks share, and gives the snapshot that does, with the number of bytes that
 * were written. `segments` names a segment of the store for each content.
 */
export async function extendBase(
  context: CephContext,
  image: ImageSpec,
  size: number,
  wanted: readonly SegmentPlaces[],
  segments: ReadonlyMap<string, string>,
  sources: PublishSources,
): Promise<{ base: BaseSnapshot; written: number }> {
  const rbd = await context.rbd();
  const seen = await newestBase(rbd, image, size);
  if (missingPlaces(plannedBase(seen.places, wanted), seen.places).size === 0) {
    // Of a base whose table is lost nobody knows what it holds: a clone would read that where it has nothing itself.
    return { base: seen.places.size === 0 ? { ...seen, snapshot: undefined } : seen, written: 0 };
  }
  return withBaseLock(context, image, sources.signal, async () => {
    const current = await newestBase(rbd, image, size);
    if (current.snapshot === undefined && !(await rbd.names(image.pool)).includes(image.image)) {
      await rbd.create(image, size);
    }
    // What a killed publisher has left is not what the table says: it is written again, or becomes zeros.
    const strange = await strangeRanges(rbd, current);
    const held = placesWithout(current.places, strange);
    const planned = plannedBase(held, wanted);
    const missing = missingPlaces(planned, held);
    const writes = cut(placeRanges(missing), objectBytes);
    if (writes.length === 0 && strange.length === 0) return { base: current, written: 0 };
    const additions = additionsRecipe(size, missing, segments);
    const reader = contentReader(sources.files);
    try {
      const base = await changeBase(rbd, current, planned, {
        zeros: without(strange, placeRanges(missing)),
        writes,
        read: ({ start, length }) => readRecipe(additions, reader, start, length),
        signal: sources.signal,
      });
      return { base, written: bytesOf(writes) };
    } finally {
      reader.close();
    }
  });
}

/**
 * Writes the change and makes the snapshot that has it, its table first. The caller has the lock.
 *
 * @throws MesoError `image-in-use` when somebody has taken the lock away meanwhile and gone on from the same snapshot.
 */
export async function changeBase(
  rbd: RbdDriver,
  current: BaseSnapshot,
  planned: SegmentPlaces,
  change: {
    readonly zeros: readonly DiskRange[];
    readonly writes: readonly DiskRange[];
    readonly read: (range: DiskRange) => Uint8Array;
    readonly signal: AbortSignal;
  },
): Promise<BaseSnapshot> {
  const { image, size } = current;
  const table = encodePlaces(planned);
  const number = Number(current.snapshot?.slice(0, 8) ?? 0) + 1;
  const snapshot = `${String(number).padStart(8, "0")}-${Math.floor(Date.now() / 1000)}-${sha256(table).slice(0, 16)}`;
  // A lock that outlived its holder's patience on another host may have been broken: two changes of one snapshot would
  // make tables that do not say what the image holds.
  if ((await newestSnapshot(rbd, image)) !== current.snapshot) {
    throw failure("image-in-use", `another publisher has changed ${image.pool}/${image.image} meanwhile`, {
      hint: "run again",
    });
  }
  await rbd.writeObject(image.pool, tableObject(image, snapshot), table);
  await rbd.write(image, {
    size,
    ...(current.snapshot !== undefined && { since: current.snapshot }),
    snapshot,
    ...change,
  });
  return { image, size, snapshot, places: planned };
}

/** Whole blocks that were written since the snapshot; when its table is lost, all that the image holds. */
export async function strangeRanges(
  rbd: RbdDriver,
  { image, size, snapshot, places }: BaseSnapshot,
): Promise<DiskRange[]> {
  const changed = await rbd.changes(image, places.size === 0 ? undefined : snapshot);
  return aligned(changed, blockBytes, size);
}

const blockBytes = 4096;

function additionsRecipe(size: number, missing: SegmentPlaces, segments: ReadonlyMap<string, string>): DiskRecipe {
  const extents = [...missing].flatMap(([content, ranges]) => {
    const segment = segments.get(content)!;
    const origin = Number(content.split(" ")[1]);
    return ranges.map(({ start, length }) => ({
      start,
      length,
      source: { kind: "segment", segment, offset: start - origin } as const,
    }));
  });
  return diskRecipe(size, extents);
}
