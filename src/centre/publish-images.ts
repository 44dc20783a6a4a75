import { existsSync, readFileSync } from "node:fs";
import { assert } from "../base/error.ts";
import { buildImages } from "../build/build-systems.ts";
import { recallComposedFacts } from "../build/composed-facts.ts";
import type { DiskImage } from "../build/disk-image.ts";
import type { BuildSession } from "../build/session.ts";
import type { Pool, Publication } from "../pools/pool.ts";
import { publishInBatches } from "../pools/publish-in-batches.ts";
import { describeSystem } from "./describe-system.ts";
import type { PublishedBytes, PublishRequest } from "./hands.ts";
import type { PreparedCentre } from "./prepare-centre.ts";
import { type Provenance, provenance } from "./provenance.ts";
import { descriptionName } from "./system-description.ts";
import { encodeDescription } from "./system-description-file.ts";

/** What publishing needs beside the requests. */
export interface PublishContext {
  readonly session: BuildSession;
  readonly centre: PreparedCentre;
  readonly pool: Pool;
  /** Seconds since 1970. */
  readonly now: () => number;
}

/**
 * Builds the images that are asked for and publishes them, with the description of each system beside them, so that
 * any host can tell later what an image holds. Descriptions come first: an image without one is never seen.
 */
export async function publishImages(
  context: PublishContext,
  requests: readonly PublishRequest[],
): Promise<PublishedBytes> {
  const { session, centre, pool } = context;
  const { lockFile, store, signal, report } = session;
  const lock = existsSync(lockFile) ? readFileSync(lockFile) : Buffer.alloc(0);
  const origin = await provenance(centre.folder, lock);
  const byPath = new Map(requests.map((request) => [request.machine.path, request]));
  assert(byPath.size === requests.length, "a machine is published once at a time");
  const wanted = new Map(
    requests.map(({ machine }) => [
      machine.path,
      { prepared: centre.prepared.get(machine.path)!, size: machine.diskSize },
    ]),
  );
  const known = new Map<string, string>();
  const identify = (segment: string): string => {
    const identity = known.get(segment) ?? store.readSegmentTable(segment).dataSha256;
    known.set(segment, identity);
    return identity;
  };
  const described = new Set(await pool.documents());
  let done = 0;
  const onPublished = (): void => {
    done++;
    report({ stage: "publish", text: `${done} of ${requests.length} images`, share: done / requests.length });
  };
  const describeOnce = async (key: string, image: DiskImage): Promise<void> => {
    const name = descriptionName(byPath.get(key)!.machine.systemHash);
    if (described.has(name)) return;
    described.add(name);
    await describe(context, key, image);
  };
  async function* publications(): AsyncGenerator<Publication> {
    // One behind: while a description is on its way, the next image is asked for.
    let waiting: { readonly image: Publication; readonly described: Promise<void> } | undefined;
    for await (const { key, image } of buildImages(session, wanted)) {
      const before = waiting;
      waiting = { image: publication(context, origin, byPath.get(key)!, image), described: describeOnce(key, image) };
      // Met in the next turn; until then a failure must not count as one that nobody handles.
      waiting.described.catch(() => {});
      if (!before) continue;
      await before.described;
      yield before.image;
    }
    if (!waiting) return;
    await waiting.described;
    yield waiting.image;
  }
  return publishInBatches(pool, publications(), { files: store, identify, signal, onPublished });
}

function publication(
  { centre, now }: PublishContext,
  { commit, isClean, builder, lockHash }: Provenance,
  { machine, image: name, stamp }: PublishRequest,
  { recipe, imageHash }: DiskImage,
): Publication {
  return {
    name,
    recipe,
    about: {
      formatVersion: 1,
      centre: centre.desired.name,
      machine: machine.path,
      role: "published",
      stamp,
      system: {
        systemHash: machine.systemHash,
        imageHash,
        lockHash,
        ...(commit !== undefined && { commit }),
        ...(isClean !== undefined && { isClean }),
        builder,
        publishedAt: Math.floor(now()),
      },
    },
  };
}

async function describe({ session, centre, pool }: PublishContext, path: string, image: DiskImage): Promise<void> {
  const prepared = centre.prepared.get(path)!;
  const description = await describeSystem(prepared, {
    folder: centre.folder,
    imageHash: image.imageHash,
    composed: recallComposedFacts(session, prepared),
  });
  await pool.putDocument(descriptionName(prepared.systemHash), encodeDescription(description));
}
