import { createHash } from "node:crypto";
import { basename } from "node:path";
import { failure } from "../base/error.ts";
import type { ItemRecord } from "./item-record.ts";
import type { Items } from "./items.ts";
import { narStream, narStrings } from "./nar.ts";
import { type ByteReader, byteReader } from "./read-nar.ts";
import { removeTree } from "./remove-tree.ts";
import { restoreNarWithin } from "./restore-nar.ts";
import type { Store } from "./store.ts";
import { isItemName } from "./store-path.ts";

/**
 * Items one after the other as `nix-store --export` writes them and `--import` reads them (Dolstra 2006, section 5.3;
 * `exportPaths` in Nix): each archive, a magic number, the path, its references, the deriver. The items must come in an
 * order of need.
 */
export async function* exportItems(items: Items, records: readonly ItemRecord[]): AsyncGenerator<Uint8Array> {
  for (const record of records) {
    yield number(1);
    yield* narStream(items.physicalPath(record.path));
    yield number(exportMagic);
    yield narStrings(record.path);
    yield number(record.references.length);
    if (record.references.length > 0) yield narStrings(...record.references);
    yield narStrings(record.deriver ?? "");
    // Once the length of a signature.
    yield number(0);
  }
  yield number(0);
}

/**
 * Takes the items of such a stream; those that are valid already are passed over. What comes is trusted as its sender is:
 * only hashes and the order of need can be checked. Gives the paths that became valid.
 *
 * @throws MesoError `bad-nar`, `bad-export`, `missing-item`.
 */
export async function importItems(
  store: Store,
  items: Items,
  pieces: AsyncIterable<Uint8Array>,
): Promise<readonly string[]> {
  const taken: string[] = [];
  let onRead: (piece: Uint8Array) => void = () => {};
  const input = byteReader(pieces, (piece) => onRead(piece));
  while ((await input.length(1)) === 1) {
    const aside = store.temporaryPath();
    try {
      const hash = createHash("sha256");
      let narSize = 0;
      onRead = (piece) => {
        hash.update(piece);
        narSize += piece.length;
      };
      await restoreNarWithin(input, aside);
      onRead = () => {};
      const { path, references, deriver } = await readTrailer(input, items);
      await items.hold([path]);
      if (items.record(path)) continue;
      const record = { path, narSha256: hash.digest("hex"), narSize, references };
      await items.adopt({ from: aside, record: { ...record, ...(deriver !== "" && { deriver }) } });
      taken.push(path);
    } finally {
      removeTree(aside);
    }
  }
  await input.end();
  return taken;
}

/** "NIXE" */
const exportMagic = 0x4558494e;
/** More than any path of an item. */
const maxPath = 4096;
const maxReferences = 100_000;

async function readTrailer(input: ByteReader, items: Items) {
  if ((await input.length(Number.MAX_SAFE_INTEGER)) !== exportMagic) throw input.bad("the end of an exported item");
  const path = itemPath(items, await input.text(maxPath));
  const references: string[] = [];
  for (let left = await input.length(maxReferences); left > 0; left--) {
    references.push(itemPath(items, await input.text(maxPath)));
  }
  const deriver = await input.text(maxPath);
  if (deriver !== "") itemPath(items, deriver);
  // An old signature, which said nothing to anybody.
  if ((await input.length(1)) === 1) await input.text(1 << 16);
  return { path, references: references.sort(), deriver };
}

function itemPath(items: Items, path: string): string {
  if (path === `${items.prefix}/${basename(path)}` && isItemName(basename(path))) return path;
  throw failure("bad-export", `found ${JSON.stringify(path.slice(0, 100))} among exported items`, {
    expected: `a path of an item in ${items.prefix}`,
  });
}

function number(value: number): Uint8Array {
  const field = Buffer.alloc(8);
  field.writeBigUInt64LE(BigInt(value));
  return field;
}
