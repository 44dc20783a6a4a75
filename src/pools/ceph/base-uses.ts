import { sha256 } from "../../base/hash.ts";
import type { ImageName } from "../pool.ts";
import type { ImageSpec, RbdDriver } from "./rbd-driver.ts";
import type { SegmentPlaces } from "./shared-base.ts";

/** What a published image takes: noted with its base as it is published, under its name. */
export interface BaseUse {
  /** Bytes of its own. */
  readonly ownBytes: number;
  /** Names of what it uses of the base, as `contentDigits` gives them. */
  readonly contents: readonly string[];
}

/** So that it can be told what no image uses any more, and what each takes without looking at every object. */
export async function noteUse(
  rbd: RbdDriver,
  base: ImageSpec,
  name: ImageName,
  ownBytes: number,
  places: SegmentPlaces,
): Promise<void> {
  const digits = [...places.keys()].map(contentDigits).sort().join("");
  await rbd.setEntry(base.pool, objectOf(base), name, `${ownBytes} ${digits}`);
}

/** By image; may hold names that are gone. */
export async function baseUses(rbd: RbdDriver, base: ImageSpec): Promise<ReadonlyMap<ImageName, BaseUse>> {
  const uses = new Map<ImageName, BaseUse>();
  for (const [name, text] of await rbd.entries(base.pool, objectOf(base))) {
    const [bytes, digits = ""] = text.toString().split(" ");
    const contents = digits.match(new RegExp(`.{${digitCount}}`, "g")) ?? [];
    if (/^\d+$/.test(bytes!)) uses.set(name, { ownBytes: Number(bytes), contents });
  }
  return uses;
}

export async function forgetUses(rbd: RbdDriver, base: ImageSpec, names: readonly ImageName[]): Promise<void> {
  if (names.length > 0) await rbd.removeEntries(base.pool, objectOf(base), names);
}

export function contentDigits(content: string): string {
  return sha256(content).slice(0, digitCount);
}

/** Few enough that hundreds of contents of hundreds of images are no burden; what two share by chance is kept. */
const digitCount = 12;

function objectOf({ image }: ImageSpec): string {
  return `${image}.uses`;
}
