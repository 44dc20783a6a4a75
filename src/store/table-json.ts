import { assert } from "../base/error.ts";
import type { SegmentEntry, SegmentTable } from "./segment.ts";

/** Raised when segments hold something else than before: those of other formats are then made again. */
const format = 2;

/**
 * A segment's table as a file. Plain JSON of the very objects that readers want: the engine builds them in
 * native code, faster than columns could be turned into objects. Only extended attributes, which are rare,
 * need a second look: their bytes are base-64.
 */
export function tableToJson(table: SegmentTable): string {
  const extended = table.entries.some((entry) => entry.xattrs);
  const entries = extended ? table.entries.map((entry) => mapXattrs(entry, toBase64)) : table.entries;
  return JSON.stringify({ ...table, entries, extended, format });
}

/** Throws (any error) for a text that `tableToJson` did not write. */
export function tableFromJson(text: string): SegmentTable {
  const parsed = JSON.parse(text) as SegmentTable & { readonly extended: boolean; readonly format: number };
  const { extended, format: found, ...table } = parsed;
  assert(found === format && Array.isArray(table.entries), `not a segment table of format ${format}`);
  return extended ? { ...table, entries: table.entries.map((entry) => mapXattrs(entry, fromBase64)) } : table;
}

function mapXattrs<A, B>(entry: SegmentEntry, change: (value: A) => B): SegmentEntry {
  if (!entry.xattrs) return entry;
  const changed = Object.entries(entry.xattrs as Record<string, A>).map(([name, value]) => [name, change(value)]);
  return { ...entry, xattrs: Object.fromEntries(changed) };
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

function fromBase64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "base64"));
}
