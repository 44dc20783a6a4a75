import type { Pool, Publication, PublishReport, PublishSources } from "./pool.ts";

/**
 * Publishes images as they come, some at a time, so that what they share is looked at, locked and written once for
 * each batch. While batches are on their way, further images are asked for: memory holds those of all batches, at some
 * MB each.
 *
 * @throws what the first batch that fails throws, once those under way have ended; nothing is begun after it.
 */
export async function publishInBatches(
  pool: Pool,
  images: AsyncIterable<Publication>,
  sources: PublishSources,
): Promise<PublishReport> {
  const reports: PublishReport[] = [];
  const failures: unknown[] = [];
  const underWay = new Set<Promise<void>>();
  const send = (batch: readonly Publication[]): void => {
    const settled: Promise<void> = pool
      .publish(batch, sources)
      .then(
        (report) => void reports.push(report),
        (error) => void failures.push(error),
      )
      .finally(() => underWay.delete(settled));
    underWay.add(settled);
  };
  try {
    let batch: Publication[] = [];
    for await (const image of images) {
      batch.push(image);
      if (batch.length < batchSize) continue;
      while (underWay.size >= batchesAtOnce) await Promise.race(underWay);
      if (failures.length > 0) break;
      send(batch);
      batch = [];
    }
    if (batch.length > 0 && failures.length === 0) send(batch);
  } finally {
    await Promise.all(underWay);
  }
  if (failures.length > 0) throw failures[0];
  return {
    sharedBytes: reports.reduce((sum, { sharedBytes }) => sum + sharedBytes, 0),
    ownBytes: reports.reduce((sum, { ownBytes }) => sum + ownBytes, 0),
    unchanged: reports.flatMap(({ unchanged }) => unchanged),
  };
}

const batchSize = 16;
/** While one batch waits for the pool, the next is begun. */
const batchesAtOnce = 2;
