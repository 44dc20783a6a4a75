import { compareVersions } from "../debian/version.ts";

/**
 * The highest of versions that is above `version`, in Debian's order, which has `1.0~rc1` before `1.0`; undefined where
 * none is. Those that nobody releases (of words, of dates beside numbers) are for the caller to leave out.
 */
export function newestAbove(version: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  for (const candidate of candidates) {
    if (!/^\d[0-9A-Za-z.+~-]*$/.test(candidate)) continue;
    if (compareVersions(upstream(candidate), upstream(best ?? version)) > 0) best = candidate;
  }
  return best;
}

/** Debian would take what follows a hyphen for its own revision, and rc for later than nothing. */
function upstream(version: string): string {
  return version.replaceAll("-", ".").replace(/[.]?(rc|alpha|beta|pre)/, "~$1");
}

/**
 * Versions in the names of files that a page or a folder of a server links to, where the rest of the name is that of
 * `fileName`: of `hello-2.10.tar.gz`, `2.12.1` for `hello-2.12.1.tar.gz`.
 */
export function versionsInListing(listing: string, fileName: string, version: string): readonly string[] {
  const at = fileName.indexOf(version);
  if (at < 0) return [];
  const [before, after] = [fileName.slice(0, at), fileName.slice(at + version.length)];
  const ending = /^\.tar\.[a-z0-9]+$/.test(after) ? String.raw`\.tar\.[a-z0-9]+` : escaped(after);
  const pattern = new RegExp(
    `(?<![A-Za-z0-9._+-])${escaped(before)}(\\d[0-9A-Za-z.+~-]*?)${ending}(?![A-Za-z0-9._-])`,
    "g",
  );
  return [...new Set([...listing.matchAll(pattern)].map(([, found]) => found!))];
}

/** Versions in the names of tags: of `v1.2`, `hello-1.2`, `release/1.2`, `1_2`, what looks like the version does. */
export function versionsOfTags(listing: string): readonly string[] {
  const names = [...listing.matchAll(/\trefs\/tags\/(\S+?)(?:\^\{\})?$/gm)].map(([, name]) => name!);
  return [
    ...new Set(
      names.flatMap((name) => /(?:^|[^0-9A-Za-z])v?(\d+(?:[._]\d+)+\S*)$/.exec(name)?.[1]?.replaceAll("_", ".") ?? []),
    ),
  ];
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
