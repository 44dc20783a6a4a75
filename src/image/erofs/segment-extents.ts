import { assert } from "../../base/error.ts";
import type { Extent } from "../extent.ts";
import { blockBytes } from "../sparse-blocks.ts";
import type { Inode } from "./inode-table.ts";
import { erofsDataRegion } from "./layout.ts";

interface Placing {
  readonly size: number;
  readonly segments: ReadonlyMap<string, number>;
  readonly segmentPlacement: ReadonlyMap<string, number>;
}

/** Byte offset of a segment within the file system: a multiple of 4096 inside the data region. */
export function segmentStart(segment: string, { size, segments, segmentPlacement }: Placing): number {
  const start = segmentPlacement.get(segment);
  const bytes = segments.get(segment);
  assert(start !== undefined && bytes !== undefined, `segment ${segment} has no place or no length`);
  assert(start % blockBytes === 0 && bytes % blockBytes === 0, `segment ${segment} is not aligned to blocks`);
  assert(start >= erofsDataRegion(size).start && start + bytes <= size, `segment ${segment} leaves the data region`);
  return start;
}

/**
 * The parts of segments that the files use, in whole blocks, neighbours merged: mostly one extent for each
 * segment. Two files may share contents.
 */
export function segmentExtents(inodes: readonly Inode[], placing: Placing): Extent[] {
  const uses = inodes.flatMap(({ entry, size }) =>
    entry.kind === "file" && entry.content.kind === "segment" && size > 0 ? [used(entry.content, size, placing)] : [],
  );
  uses.sort((a, b) => a.start - b.start);
  const merged: Use[] = [];
  for (const use of uses) {
    const last = merged.at(-1);
    if (last && last.segment === use.segment && use.start <= last.end) last.end = Math.max(last.end, use.end);
    else merged.push(use);
  }
  return merged.map(({ segment, origin, start, end }) => ({
    start,
    length: end - start,
    source: { kind: "segment", segment, offset: start - origin },
  }));
}

/** Bytes [start, end) of the file system come from a segment that lies at `origin`. */
interface Use {
  readonly segment: string;
  readonly origin: number;
  readonly start: number;
  end: number;
}

function used(content: { segment: string; offset: number }, size: number, placing: Placing): Use {
  const origin = segmentStart(content.segment, placing);
  const end = content.offset + Math.ceil(size / blockBytes) * blockBytes;
  assert(content.offset % blockBytes === 0, `a file of segment ${content.segment} is not aligned`);
  assert(end <= placing.segments.get(content.segment)!, `a file runs beyond its segment ${content.segment}`);
  return { segment: content.segment, origin, start: origin + content.offset, end: origin + end };
}
