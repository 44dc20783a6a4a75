import { isAbsolute, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { failure } from "../base/error.ts";
import { callerLocation } from "../base/location.ts";
import type { Channel } from "../language/channel.ts";
import { attachFacts } from "../language/record.ts";

/** Where the source of a package comes from, and how it is known to be the right one. */
export type Origin = UrlOrigin | GitOrigin | LocalOrigin | DebianOrigin;

/** A file that several addresses may have; the first that has it with the right hash is taken. */
export interface UrlOrigin {
  readonly kind: "url";
  readonly urls: readonly string[];
  /** As written; undefined where the package's own field says it. */
  readonly sha256: string | undefined;
  readonly fileName: string;
}

/** One commit of a git repository: its tree, without submodules. */
export interface GitOrigin {
  readonly kind: "git";
  readonly url: string;
  readonly commit: string;
  /** Of the tree's archive (NAR), as `meso hash --recursive` tells; undefined where the package's field says it. */
  readonly sha256: string | undefined;
}

/** A file or folder beside the program: taken as it is when the package is built. */
export interface LocalOrigin {
  readonly kind: "local";
  /** Absolute. */
  readonly path: string;
}

/** A Debian source package, known by the signed index of a channel. */
export interface DebianOrigin {
  readonly kind: "debian-source";
  readonly name: string;
  /** Debian's (`2.12.0-4`), or upstream's alone (`2.12.0`); undefined for the newest. */
  readonly version: string | undefined;
  /** Looked through in this order; undefined for the channel that the package is built in. */
  readonly channels: readonly Channel[] | undefined;
  /** Whether Debian's own part is fetched, and its patches applied. */
  readonly patched: boolean;
}

/**
 * A file by its addresses (`https:`, `http:`, `file:`, or `mirror://debian/…` for a file of Debian's archive).
 *
 * @param options `fileName`: how it is called where the address does not end with its name.
 */
export function fetchUrl(
  urls: string | readonly string[],
  options: { readonly sha256?: string; readonly fileName?: string } = {},
): UrlOrigin {
  const all = typeof urls === "string" ? [urls] : [...urls];
  const named = options.fileName ?? all[0]?.replace(/[?#].*$/, "").replace(/^.*\//, "");
  return origin({ kind: "url", urls: all, sha256: options.sha256, fileName: named || "source" }, fetchUrl);
}

/** A commit, by its whole name: 40 or 64 hexadecimal digits. */
export function gitCommit(given: {
  readonly url: string;
  readonly commit: string;
  readonly sha256?: string;
}): GitOrigin {
  return origin({ kind: "git", url: given.url, commit: given.commit, sha256: given.sha256 }, gitCommit);
}

/**
 * A file or folder of this machine: `localPath("src", import.meta.url)` is one beside the program.
 *
 * @throws MesoError `relative-path` for a path that is relative to nothing.
 */
export function localPath(path: string, base?: string): LocalOrigin {
  if (base === undefined && !isAbsolute(path)) {
    const where = callerLocation(localPath);
    throw failure("relative-path", `found the path ${JSON.stringify(path)}`, {
      ...(where && { where }),
      expected: "an absolute path, or one beside the program",
      hint: `write localPath(${JSON.stringify(path)}, import.meta.url)`,
    });
  }
  const folder = base === undefined ? "/" : base.startsWith("file:") ? fileURLToPath(new URL(".", base)) : base;
  return origin({ kind: "local", path: resolve(folder, path) }, localPath);
}

/** A source package of Debian, with its patches unless told otherwise. */
export function debianSource(
  name: string,
  options: {
    readonly version?: string;
    readonly channels?: readonly Channel[];
    readonly patched?: boolean;
  } = {},
): DebianOrigin {
  const { version, channels, patched = true } = options;
  return origin({ kind: "debian-source", name, version, channels, patched }, debianSource);
}

/** Remembers where it was written: what cannot be fetched is told with that place. */
function origin<T extends Origin>(value: T, caller: (...args: never[]) => unknown): T {
  const where = callerLocation(caller);
  return attachFacts(value, { kind: "origin", given: value, fields: {}, ...(where && { where }) });
}
