import { mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { canonicalJson } from "../../base/canonical.ts";
import { assert } from "../../base/error.ts";
import { aCount, aText, mismatch, oneOf, type Shape } from "../../base/shape.ts";
import { diskRecipe } from "../../image/extent.ts";
import { qcow2Layer } from "../../image/output/qcow2.ts";
import { readQcow2Header } from "../../image/output/qcow2-header.ts";
import type { SegmentFiles } from "../../image/output/recipe-reader.ts";
import { writeRaw } from "../../image/output/write-raw.ts";
import { type BaseRun, type BaseView, covered } from "./base-view.ts";
import { asideIn, namesIn, type Places, removeWhole, sealFile, syncFolder, writeSynced } from "./places.ts";
import { totalLength } from "./ranges.ts";

/**
 * What images share: layers of qcow2, each over the one before, each holding the segments that a publication brought.
 * A layer is never changed. An image lies over the top layer of its time, and so reads the same for ever, whatever
 * later layers hold or cover.
 */
export interface Base {
  /** From the bottom up; empty at first. */
  readonly chain: readonly Layer[];
  /** What the top layer shows. */
  readonly view: BaseView;
}

interface Layer {
  /** Its folder's name: `000017`. */
  readonly name: string;
  /** Of the disk. */
  readonly size: number;
  /** What it holds itself. */
  readonly runs: readonly BaseRun[];
}

/** Reads and opens of QEMU pass through all layers of a chain. */
const deepestChain = 8;

export const layerDisk = "disk.qcow2";

/** The base as the last publication left it. One whose records cannot be read is passed over: the next starts anew. */
export function openBase(places: Places): Base {
  const names = namesIn(places.base).filter((name) => layerName.test(name));
  for (const top of names.sort().reverse()) {
    const chain = chainBelow(places, top);
    if (chain) return { chain, view: viewOf(chain) };
  }
  return { chain: [], view: [] };
}

const layerName = /^\d{6,}$/;

/** Adds a layer with these runs; gives the new base, and the bytes written. */
export async function addLayer(
  places: Places,
  base: Base,
  missing: readonly BaseRun[],
  size: number,
  files: SegmentFiles,
): Promise<{ readonly base: Base; readonly bytes: number }> {
  const below = base.chain.slice(0, base.chain.length - absorbedLayers(base.chain, missing));
  const absorbed = base.chain.slice(below.length);
  const runs = covered(viewOf(absorbed), missing);
  const whole = Math.max(size, ...base.chain.map((layer) => layer.size));
  return writeLayer(places, below, runs, whole, files);
}

/**
 * How many layers from the top the next one takes into itself, so that the chain stays short: when it has become deep,
 * the top one and those below it as long as they are no larger than all that is taken already. So a byte is copied but
 * a few times, however many publications follow.
 */
function absorbedLayers(chain: readonly Layer[], missing: readonly BaseRun[]): number {
  if (chain.length < deepestChain) return 0;
  let bytes = totalLength(missing);
  let count = 0;
  for (const { runs } of chain.toReversed()) {
    if (count > 0 && totalLength(runs) > bytes) break;
    bytes += totalLength(runs);
    count++;
  }
  return count;
}

/**
 * A new chain of one layer with those contents of the base that some image still shows, when most of what the chain
 * holds is shown by none; undefined when it is not worth it. Images stay upon the layers that they lie upon.
 */
export async function renewBase(
  places: Places,
  base: Base,
  shown: ReadonlySet<string>,
  waste: number = smallWaste,
): Promise<Base | undefined> {
  const live = base.view.filter(({ content }) => shown.has(content));
  const held = base.chain.reduce((sum, { runs }) => sum + totalLength(runs), 0);
  if (held <= 2 * totalLength(live) + waste || live.length === 0) return undefined;
  const size = Math.max(...base.chain.map((layer) => layer.size));
  return (await writeLayer(places, [], live, size, noFiles)).base;
}

/** Bytes. Less is not worth writing the rest anew. */
const smallWaste = 256 << 20;

const noFiles: SegmentFiles = { segmentDataPath: (segment) => segment };

/** Removes layers that no image needs. `used`: those that images lie upon. Gives the names. */
export function removeUnusedLayers(places: Places, used: Iterable<string>): string[] {
  const needed = new Set<string>();
  for (const name of used) {
    for (let at: string | undefined = name; at !== undefined && !needed.has(at); at = layerBelow(places, at)) {
      needed.add(at);
    }
  }
  const unused = namesIn(places.base).filter((name) => layerName.test(name) && !needed.has(name));
  // From the top: one that lies over another goes first.
  for (const name of unused.sort().reverse()) removeWhole(join(places.base, name));
  return unused;
}

/** By the file itself, which is what QEMU goes by. */
function layerBelow(places: Places, name: string): string | undefined {
  const header = readQcow2Header(join(places.base, name, layerDisk));
  assert(header, `base/${name}/${layerDisk} is a qcow2 file`);
  return header.backing?.split("/").at(-2);
}

/** Segments of the base are in files of its layers; all others are where the store says. */
export function filesWith(places: Places, files: SegmentFiles): SegmentFiles {
  return {
    segmentDataPath: (segment) =>
      segment.startsWith(layerSegment)
        ? join(places.base, segment.slice(layerSegment.length), layerDisk)
        : files.segmentDataPath(segment),
  };
}

/** Marks the name of a "segment" that is a layer's file. */
const layerSegment = "layer/";

async function writeLayer(
  places: Places,
  below: readonly Layer[],
  runs: readonly BaseRun[],
  size: number,
  files: SegmentFiles,
): Promise<{ readonly base: Base; readonly bytes: number }> {
  const parent = below.at(-1)?.name;
  const disk = diskRecipe(size, runs);
  const { file, moved } = qcow2Layer(
    disk,
    parent === undefined ? {} : { backing: { file: `../${parent}/${layerDisk}`, format: "qcow2" } },
  );
  const contents = [...new Set(runs.map(({ content }) => content))].sort();
  const indices = new Map(contents.map((content, index) => [content, index]));
  const record: LayerRecord = {
    formatVersion: 1,
    size,
    contents,
    runs: runs.map(({ start, length, content, offset }, i) => [
      start,
      length,
      indices.get(content)!,
      offset,
      moved[i]!.start,
    ]),
    ...(parent !== undefined && { below: parent }),
  };
  const aside = asideIn(places.base);
  mkdirSync(aside);
  try {
    const bytes = writeRaw(file, join(aside, layerDisk), filesWith(places, files));
    await sealFile(join(aside, layerDisk));
    writeSynced(join(aside, "layer.json"), canonicalJson(record));
    const name = nextName(places);
    renameSync(aside, join(places.base, name));
    syncFolder(places.base);
    const chain = [...below, layerOf(name, record)];
    return { base: { chain, view: viewOf(chain) }, bytes };
  } catch (error) {
    rmSync(aside, { recursive: true, force: true });
    throw error;
  }
}

function nextName(places: Places): string {
  const last = namesIn(places.base).filter((name) => layerName.test(name));
  return `${Math.max(0, ...last.map(Number)) + 1}`.padStart(6, "0");
}

function viewOf(chain: readonly Layer[]): BaseView {
  return chain.reduce<BaseView>((view, { runs }) => covered(view, runs), []);
}

function chainBelow(places: Places, top: string): Layer[] | undefined {
  const chain: Layer[] = [];
  for (let name: string | undefined = top; name !== undefined; ) {
    const record = recordOf(places, name);
    // Numbers only rise: what would go in circles is no chain.
    if (!record || (record.below !== undefined && Number(record.below) >= Number(name))) return undefined;
    chain.unshift(layerOf(name, record));
    name = record.below;
  }
  return chain;
}

interface LayerRecord {
  readonly formatVersion: 1;
  readonly below?: string;
  /** Of the disk, in bytes. */
  readonly size: number;
  readonly contents: readonly string[];
  /** Start and length on the disk, which content, from which of its bytes on, and where in the layer's file. */
  readonly runs: readonly (readonly [number, number, number, number, number])[];
}

const recordShape: Shape = {
  members: {
    formatVersion: oneOf(1),
    size: aCount,
    contents: { list: aText },
    runs: {
      list: {
        expected: "five whole numbers",
        holds: (run) => Array.isArray(run) && run.length === 5 && run.every(aCount.holds),
      },
    },
  },
  optional: { below: { expected: "a layer", holds: (name) => typeof name === "string" && layerName.test(name) } },
};

function recordOf(places: Places, name: string): LayerRecord | undefined {
  try {
    const record: unknown = JSON.parse(readFileSync(join(places.base, name, "layer.json"), "utf8"));
    return mismatch(record, recordShape) ? undefined : (record as LayerRecord);
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function layerOf(name: string, { size, contents, runs }: LayerRecord): Layer {
  return {
    name,
    size,
    runs: runs.map(([start, length, content, offset, segmentOffset]) => ({
      start,
      length,
      content: contents[content] ?? "",
      offset,
      source: { kind: "segment", segment: `${layerSegment}${name}`, offset: segmentOffset },
    })),
  };
}
