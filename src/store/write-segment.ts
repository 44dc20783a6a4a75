import { assert } from "../base/error.ts";
import type { Attributes } from "./file-tree.ts";
import type { SegmentEntry, SegmentTable } from "./segment.ts";
import type { Store } from "./store.ts";

/** What a hook makes: attributes as in a file tree, contents as bytes. */
export type NewSegmentEntry = Omit<Attributes, "origin"> & { readonly path: string } & (
    | { readonly kind: "file"; readonly bytes: Uint8Array }
    | { readonly kind: "directory" }
    | { readonly kind: "symlink"; readonly target: string }
    | { readonly kind: "hardlink"; readonly target: string }
  );

/**
 * Keeps the output of a computation as a segment; `id` is the SHA-256 (hexadecimal) of what it was computed
 * from. When the segment is there already, its table is given and nothing is written.
 */
export async function writeSegment(store: Store, id: string, files: readonly NewSegmentEntry[]): Promise<SegmentTable> {
  const existing = store.findSegment(id);
  if (existing) return existing;
  const writer = store.newSegment(id);
  try {
    return await writer.publish(
      files.map((file): SegmentEntry => {
        assert(file.path.startsWith("/"), `${file.path} is not an absolute path`);
        if (file.kind !== "file") return file;
        const { bytes, ...rest } = file;
        const offset = bytes.length === 0 ? 0 : writer.position;
        writer.append(bytes);
        writer.pad();
        return { ...rest, size: bytes.length, offset };
      }),
    );
  } finally {
    writer.abandon();
  }
}
