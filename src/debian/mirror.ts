import { existsSync } from "node:fs";
import { join } from "node:path";
import { failure } from "../base/error.ts";
import type { AptSource } from "./apt-sources.ts";
import { readAptProxies, readAptSources } from "./apt-sources.ts";

/** Debian keeps security updates in an archive of their own, with its own pool. */
export type Archive = "main" | "security";

/** Where Debian's files come from on this machine. Never part of a lock or of an identity. */
export interface Mirrors {
  /** Base URIs (`http:`, `https:` or `file:`) without a final slash; tried in this order. */
  readonly main: readonly string[];
  readonly security: readonly string[];
  /** Keys that archives are trusted by. */
  readonly keyrings: readonly Keyring[];
  /** Variables as `http_proxy` and friends, in the form Node's agents take. */
  readonly proxy: Readonly<Record<string, string>>;
}

/** A file of OpenPGP keys, binary or armored; or armored text that a source carries itself. */
export type Keyring = { readonly file: string } | { readonly armored: string };

export interface MirrorOptions {
  /** Stands for `process.env`. */
  readonly variables?: Readonly<Record<string, string | undefined>>;
  /** Folder that holds `etc/apt` and `usr/share/keyrings`; "/" by default. */
  readonly root?: string;
}

/**
 * Where to fetch from: `MESO_DEBIAN_MIRROR` (with `MESO_DEBIAN_SECURITY_MIRROR`), else the machine's apt
 * configuration, whatever suites it follows. Keys: `MESO_DEBIAN_KEYRING`, else what the chosen sources are
 * signed by, else Debian's archive keyring.
 * @throws MesoError `no-mirror`, `bad-mirror`, `no-keyring`.
 */
export function readMirrors(options: MirrorOptions = {}): Mirrors {
  const variables = options.variables ?? process.env;
  const root = options.root ?? "/";
  const told = variables.MESO_DEBIAN_MIRROR;
  const sources = told ? [] : officialSources(readAptSources(root));
  const main = told ? [base(told, "MESO_DEBIAN_MIRROR")] : urisFor(sources, "main");
  if (main.length === 0) throw noMirror(root);
  const toldSecurity = variables.MESO_DEBIAN_SECURITY_MIRROR;
  const found = toldSecurity ? [base(toldSecurity, "MESO_DEBIAN_SECURITY_MIRROR")] : urisFor(sources, "security");
  return {
    main,
    security: found.length > 0 ? found : deriveSecurity(main),
    keyrings: chooseKeyrings(variables.MESO_DEBIAN_KEYRING, sources, root),
    proxy: chooseProxy(variables, root),
  };
}

function noMirror(root: string) {
  return failure("no-mirror", "no Debian mirror is known on this machine", {
    expected: `a Debian source with component main in ${join(root, "etc/apt/sources.list")} or sources.list.d`,
    hint: "say where to fetch from: MESO_DEBIAN_MIRROR=http://…/debian (also https: or file:)",
  });
}

const releaseNames =
  "buster|bullseye|bookworm|trixie|forky|duke|sid|(?:old){0,2}stable|testing|unstable|experimental|rc-buggy";
const debianSuite = new RegExp(
  `^(?:${releaseNames})(?:-updates|-security|-backports(?:-sloppy)?|-proposed-updates|/updates)?$`,
);

/**
 * Sources of Debian itself. Third parties also write `URI bookworm main`, so candidates are weighed by the
 * evidence beside them and only the heaviest are kept, for each archive; a wrong choice could not do harm,
 * since signatures decide, but it would fail.
 */
function officialSources(sources: readonly AptSource[]): AptSource[] {
  const candidates = sources.filter(
    (source) =>
      /^(https?|file|copy):/.test(source.uri) &&
      source.components.includes("main") &&
      source.suites.some((suite) => debianSuite.test(suite)),
  );
  const weights = candidates.map((source) => weigh(source, candidates));
  const heaviest = (archive: Archive) => Math.max(...weights.filter((_, i) => serves(candidates[i]!, archive)));
  return candidates.filter((source, i) =>
    (["main", "security"] as const).some((archive) => serves(source, archive) && weights[i] === heaviest(archive)),
  );
}

function weigh(source: AptSource, all: readonly AptSource[]): number {
  const keys = source.signedBy.join(" ");
  const sameUri = all.filter((other) => other.uri === source.uri);
  const archiveKeys = /debian-archive/.test(keys) ? 4 : keys === "" ? 1 : 0;
  const hasUpdates = sameUri.some((other) => other.suites.some((suite) => /-(updates|security)$/.test(suite))) ? 2 : 0;
  const debianPath = /\/debian(-security)?\/?$/.test(source.uri) ? 1 : 0;
  return archiveKeys + hasUpdates + debianPath;
}

/** A stanza may list suites of both archives when a site merges them behind one address. */
function serves(source: AptSource, archive: Archive): boolean {
  if (/\/debian-security\/?$/.test(source.uri)) return archive === "security";
  return source.suites.some((suite) => /-security$|\/updates$/.test(suite) === (archive === "security"));
}

function urisFor(sources: readonly AptSource[], archive: Archive): string[] {
  const uris = sources.filter((source) => serves(source, archive)).map((source) => base(source.uri, source.file));
  return [...new Set(uris)];
}

/** Mirrors that carry both archives name them side by side: …/debian and …/debian-security. */
function deriveSecurity(main: readonly string[]): string[] {
  return main.filter((uri) => /\/debian$/.test(uri)).map((uri) => `${uri}-security`);
}

function base(uri: string, field: string): string {
  const plain = uri
    .trim()
    .replace(/^copy:/, "file:")
    .replace(/\/+$/, "");
  if (!/^(https?:\/\/[^/]|file:\/)/.test(plain) || !URL.canParse(plain)) {
    throw failure("bad-mirror", `"${uri}" is not the address of a mirror`, {
      field,
      expected: "an http:, https: or file: address of a folder that holds dists/ and pool/",
    });
  }
  return plain;
}

function chooseKeyrings(told: string | undefined, sources: readonly AptSource[], root: string): Keyring[] {
  if (told) {
    if (existsSync(told)) return [{ file: told }];
    throw failure("no-keyring", `the keyring ${told} does not exist`, { field: "MESO_DEBIAN_KEYRING" });
  }
  const named = [...new Set(sources.flatMap((source) => source.signedBy))].flatMap((value): Keyring[] => {
    if (value.startsWith("-----BEGIN")) return [{ armored: value }];
    const file = join(root, value);
    return value.startsWith("/") && existsSync(file) ? [{ file }] : [];
  });
  if (named.length > 0) return named;
  const usual = ["gpg", "pgp"].map((end) => join(root, `usr/share/keyrings/debian-archive-keyring.${end}`));
  const file = usual.find((path) => existsSync(path));
  if (file) return [{ file }];
  throw failure("no-keyring", "Debian's archive keyring is not on this machine", {
    expected: usual[0]!,
    hint: "install the package debian-archive-keyring, or name a file of keys in MESO_DEBIAN_KEYRING",
  });
}

/** Variables win over apt's configuration, as in apt-transport-http(1). */
function chooseProxy(variables: Readonly<Record<string, string | undefined>>, root: string): Record<string, string> {
  const apt = readAptProxies(root);
  const usable = (value: string | undefined) => (value && /^https?:\/\//.test(value) ? value : undefined);
  const http = usable(variables.http_proxy ?? apt.http);
  const https = usable(variables.https_proxy ?? variables.HTTPS_PROXY ?? apt.https ?? apt.http);
  const none = variables.no_proxy ?? variables.NO_PROXY;
  return {
    ...(http && { HTTP_PROXY: http }),
    ...(https && { HTTPS_PROXY: https }),
    ...(none && { NO_PROXY: none }),
  };
}
