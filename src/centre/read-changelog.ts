import { posix } from "node:path";
import { gunzipSync } from "node:zlib";
import { failure } from "../base/error.ts";
import { type FetchableArchive, fetchSegments } from "../build/fetch-archives.ts";
import type { BuildSession } from "../build/session.ts";
import { readSegmentFile } from "../store/read-content.ts";
import type { SegmentEntry, SegmentTable } from "../store/segment.ts";

/** The changelog of a package's source, out of its archive. `sibling` finds a package that the archive refers to. */
export type ReadChangelog = (
  archive: FetchableArchive,
  sibling: (name: string) => FetchableArchive | undefined,
) => Promise<string>;

/**
 * Reads changelogs from the store's segments, fetching and importing archives that are not in it (Debian Policy 12.7:
 * `/usr/share/doc/<package>/changelog.Debian.gz`, `changelog.gz` of native packages). Where the folder or the file is a
 * link to another package's, as Policy 12.3 and 12.5 allow, that one is read.
 *
 * Throws a MesoError: `no-changelog`, or those of fetching and importing.
 */
export function changelogReader(session: BuildSession): ReadChangelog {
  const tables = new Map<string, Promise<SegmentTable>>();
  const tableOf = (archive: FetchableArchive): Promise<SegmentTable> => {
    const known = tables.get(archive.sha256);
    if (known) return known;
    const table = fetchSegments(session, [archive]).then((all) => all.get(archive.sha256)!);
    tables.set(archive.sha256, table);
    return table;
  };
  const texts = recentTexts();
  return async (archive, sibling) => {
    let current = archive;
    for (let hop = 0; hop <= maximumHops; hop++) {
      const table = await tableOf(current);
      const found = findChangelog(table, current.name);
      if (found === undefined) break;
      if (typeof found !== "string") {
        const read = () => textOf(readSegmentFile(session.store, table.id, found), found.path);
        return texts(`${table.id} ${found.path}`, read);
      }
      const next = sibling(found);
      if (next === undefined) throw noChangelog(archive, `it is in ${found}, which is not at hand`);
      current = next;
    }
    throw noChangelog(archive, "its archive has none");
  };
}

/** Characters that are kept: machines of a centre ask for the same few changelogs one after the other. */
const mostKept = 64 * 2 ** 20;

/** Keeps what was read last, up to a bound. */
function recentTexts(): (key: string, read: () => string) => string {
  const kept = new Map<string, string>();
  let size = 0;
  return (key, read) => {
    const text = kept.get(key) ?? read();
    size += kept.delete(key) ? 0 : text.length;
    kept.set(key, text);
    for (const [oldest, { length }] of kept) {
      if (size <= mostKept || oldest === key) break;
      kept.delete(oldest);
      size -= length;
    }
    return text;
  };
}

/** Debian has chains of two: -dev to -common to the library. */
const maximumHops = 4;
const names = ["changelog.Debian.gz", "changelog.Debian", "changelog.gz", "changelog"];
const documents = "/usr/share/doc/";

/** The changelog's entry, or the name of the package whose folder it is in. */
function findChangelog(
  table: SegmentTable,
  name: string,
): Extract<SegmentEntry, { kind: "file" }> | string | undefined {
  const byPath = new Map(table.entries.map((entry) => [entry.path, entry]));
  const folder = byPath.get(`${documents}${name}`);
  if (folder?.kind === "symlink") return packageOf(folder.path, folder.target, name);
  for (const file of names) {
    let entry = byPath.get(`${documents}${name}/${file}`);
    for (let hop = 0; entry !== undefined && entry.kind !== "file" && hop < maximumHops; hop++) {
      if (entry.kind === "directory") break;
      const target = entry.kind === "symlink" ? resolved(entry.path, entry.target) : entry.target;
      const other = byPath.get(target);
      if (other === undefined) return packageOf(entry.path, entry.target, name);
      entry = other;
    }
    if (entry?.kind === "file" && entry.size > 0) return entry;
  }
  return undefined;
}

/** `../libstdc++6` seen from `/usr/share/doc/g++` is of `libstdc++6`. */
function packageOf(link: string, target: string, self: string): string | undefined {
  const path = resolved(link, target);
  const owner = path.startsWith(documents) ? path.slice(documents.length).split("/")[0] : undefined;
  return owner === self || owner === "" ? undefined : owner;
}

function resolved(link: string, target: string): string {
  return posix.resolve(posix.dirname(link), target);
}

/** Bytes; the kernel's has a few million. */
const largestChangelog = 64 * 2 ** 20;

function textOf(bytes: Uint8Array, path: string): string {
  if (!path.endsWith(".gz")) return Buffer.from(bytes).toString("utf8");
  try {
    return gunzipSync(bytes, { maxOutputLength: largestChangelog }).toString("utf8");
  } catch (error) {
    throw failure("no-changelog", `${path} cannot be unpacked: ${(error as Error).message}`);
  }
}

function noChangelog({ name, version }: FetchableArchive, why: string): Error {
  return failure("no-changelog", `the changelog of ${name} ${version} cannot be read: ${why}`);
}
