import { assert, failure } from "../../base/error.ts";
import type { DiskRange } from "../../image/extent.ts";
import { contentReader, readRecipe } from "../../image/output/recipe-reader.ts";
import { aboutText } from "../about.ts";
import { checkName } from "../image-name.ts";
import type { Publication, PublishReport, PublishSources } from "../pool.ts";
import { type BaseSnapshot, baseNameFor, extendBase } from "./base-image.ts";
import { noteUse } from "./base-uses.ts";
import { errnos, explained, isRefusal } from "./ceph-failure.ts";
import { asideName, type CephContext, type FoundImage, findImages } from "./context.ts";
import { ownBlocks } from "./own-blocks.ts";
import { bytesOf } from "./ranges.ts";
import type { ImageSpec, RbdDriver } from "./rbd-driver.ts";
import { renameImage } from "./rename.ts";
import { publishedSnapshot } from "./settings.ts";
import { commonPlaces, type SegmentPlaces, segmentPlaces } from "./shared-base.ts";
import { withoutZeroRuns } from "./zero-runs.ts";

/**
 * What images share is written into the base, once; then each image is made beside, as a clone of the base's snapshot
 * with blocks of its own, and gets its name last.
 */
export async function publish(
  context: CephContext,
  publications: readonly Publication[],
  sources: PublishSources,
): Promise<PublishReport> {
  for (const { name } of publications) checkName(name);
  const there = new Map(
    (
      await findImages(
        context,
        publications.map(({ name }) => name),
      )
    ).map((one) => [one.name, one]),
  );
  const unchanged = publications.filter((one) => isThere(context, one, there.get(one.name)));
  const fresh = publications.filter((one) => !unchanged.includes(one));
  const report = { sharedBytes: 0, ownBytes: 0, unchanged: unchanged.map(({ name }) => name) };
  const isSparing = fresh.length <= fewPublications;
  for (const group of groupsOf(context, fresh, sources)) {
    const { base, written } = await extendBase(context, group.image, group.size, group.places, group.segments, sources);
    report.sharedBytes += written;
    await forEach(publicationsAtOnce, group.publications, async (publication, index) => {
      sources.signal.throwIfAborted();
      const bytes = await publishOne(context, publication, group.places[index]!, base, sources, isSparing);
      if (bytes === undefined) report.unchanged.push(publication.name);
      else report.ownBytes += bytes;
      sources.onPublished?.(publication.name, bytes ?? 0);
    });
  }
  return report;
}

/**
 * Of so few, zeros within blocks are not sent: 40 % of the bytes of a machine's own, in several times as many extents. Of
 * many it is the OSD that is waited for, which takes 40 % longer with them.
 */
const fewPublications = 4;

/** While one waits for Ceph, the next is read and sent. */
const publicationsAtOnce = 2;

interface Group {
  readonly image: ImageSpec;
  readonly size: number;
  readonly publications: readonly Publication[];
  /** Of each publication. */
  readonly places: readonly SegmentPlaces[];
  /** A segment of the store for each content. */
  readonly segments: ReadonlyMap<string, string>;
}

/** Publications by the base that they share. */
function groupsOf({ settings }: CephContext, publications: readonly Publication[], sources: PublishSources): Group[] {
  const identities = new Map<string, string>();
  const identify = (segment: string): string => {
    const known = identities.get(segment) ?? sources.identify(segment);
    identities.set(segment, known);
    return known;
  };
  const byBase = Map.groupBy(publications, ({ recipe }) => baseNameFor(recipe));
  return [...byBase].map(([image, some]) => {
    const segments = new Map<string, string>();
    for (const { recipe } of some) {
      for (const { start, source } of recipe.extents) {
        if (source.kind !== "segment") continue;
        segments.set(`${identify(source.segment)} ${start - source.offset}`, source.segment);
      }
    }
    return {
      image: { pool: settings.pool, image },
      size: some[0]!.recipe.size,
      publications: some,
      places: some.map(({ recipe }) => segmentPlaces(recipe, identify)),
      segments,
    };
  });
}

/** The number of bytes written; undefined when another has published the same meanwhile. */
async function publishOne(
  context: CephContext,
  publication: Publication,
  places: SegmentPlaces,
  base: BaseSnapshot,
  sources: PublishSources,
  isSparing: boolean,
): Promise<number | undefined> {
  const { recipe, name, about } = publication;
  const rbd = await context.rbd();
  const aside: ImageSpec = { pool: context.settings.pool, image: asideName() };
  const all = ownBlocks(recipe, places, base.places);
  const reader = contentReader(sources.files);
  try {
    const read = ({ start, length }: DiskRange) => readRecipe(recipe, reader, start, length);
    const blocks = isSparing ? { ...all, fresh: withoutZeroRuns(all.fresh, read) } : all;
    const bytes = bytesOf(blocks.writes) + bytesOf(blocks.fresh);
    if (base.snapshot === undefined) await rbd.create(aside, recipe.size);
    else await rbd.clone({ ...base.image, snapshot: base.snapshot }, aside);
    await rbd.write(aside, {
      ...blocks,
      size: recipe.size,
      snapshot: publishedSnapshot,
      about: aboutText(about),
      read,
      signal: sources.signal,
    });
    await noteUse(rbd, base.image, name, bytes, commonPlaces(places, base.places));
    await renameImage(rbd, aside, name);
    return bytes;
  } catch (error) {
    await removeAside(rbd, aside).catch(() => {});
    if (!isRefusal(error, errnos.exists)) throw explained(error, context.title, name);
    const [other] = await findImages(context, [name]);
    if (isThere(context, publication, other)) return undefined;
    throw explained(error, context.title, name);
  } finally {
    reader.close();
  }
}

async function removeAside(rbd: RbdDriver, aside: ImageSpec): Promise<void> {
  await rbd.removeSnapshot({ ...aside, snapshot: publishedSnapshot }).catch(() => {});
  await rbd.remove(aside);
}

/** @throws MesoError `image-exists` when the name holds something else. */
function isThere(context: CephContext, { name, about }: Publication, found: FoundImage | undefined): boolean {
  if (found === undefined) return false;
  const hash = about.system?.imageHash;
  assert(hash !== undefined, `the publication ${name} has no image hash`);
  if (found.ours?.system?.imageHash === hash) return true;
  throw failure("image-exists", `${name} is in ${context.title} already, and holds another image`, {
    hint: "published images are never written to again: publish under a later time",
  });
}

async function forEach<T>(
  atOnce: number,
  items: readonly T[],
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  let isStopped = false;
  const one = async (): Promise<void> => {
    while (next < items.length && !isStopped) {
      const index = next++;
      try {
        await work(items[index]!, index);
      } catch (error) {
        isStopped = true;
        throw error;
      }
    }
  };
  const outcomes = await Promise.allSettled(Array.from({ length: atOnce }, one));
  const failed = outcomes.find((outcome) => outcome.status === "rejected");
  if (failed) throw failed.reason;
}
