import { failure } from "../base/error.ts";
import type { PackagesText } from "./package-index-writer.ts";
import { sourcePackage } from "./source-package.ts";
import { compareVersions, parseVersion } from "./version.ts";

/** The newest version of a source package in one suite. */
export interface SourceOffer {
  readonly suite: string;
  readonly archive: "main" | "security";
  readonly version: string;
  /** Packages of the suite that were built from it, in the order of the index. */
  readonly binaries: readonly string[];
}

/** By name of the source package: what each suite has of it, in the order of the suites. */
export type SourceOffers = ReadonlyMap<string, readonly SourceOffer[]>;

/**
 * The source packages that `Packages` files were built from. Names of packages change with versions (kernels,
 * libraries); sources keep theirs, and are what fixes are told by.
 *
 * @throws MesoError `bad-index` on a stanza without name or version, or with a version that is none.
 */
export async function sourceVersions(
  texts: Iterable<PackagesText> | AsyncIterable<PackagesText>,
): Promise<SourceOffers> {
  const offers = new Map<string, Draft[]>();
  for await (const { text, suite, archive } of texts) {
    const all =
      typeof text === "string" ? text : Buffer.from(text.buffer, text.byteOffset, text.length).toString("latin1");
    for (const { name, version, field } of stanzasOf(all)) {
      const { source, sourceVersion } = sourcePackage(name, version, field);
      const known = offers.get(source);
      const at = known?.findIndex((offer) => offer.suite === suite) ?? -1;
      const before = known?.[at];
      if (before?.version === sourceVersion) {
        before.binaries.push(name);
        continue;
      }
      parseVersion(sourceVersion);
      if (before && compareVersions(sourceVersion, before.version) < 0) continue;
      const offer = { suite, archive, version: sourceVersion, binaries: [name] };
      if (known === undefined) offers.set(source, [offer]);
      else if (before) known[at] = offer;
      else known.push(offer);
    }
  }
  return offers;
}

type Draft = Omit<SourceOffer, "binaries"> & { readonly binaries: string[] };

/** Name, version and source field of each stanza: a few fields of many megabytes, found without reading the rest. */
function* stanzasOf(text: string): Generator<{ name: string; version: string; field: string | undefined }> {
  for (let at = 0; at < text.length; ) {
    const found = text.indexOf("\n\n", at);
    const end = found < 0 ? text.length : found;
    const stanza = text.slice(at, end);
    at = end + 2;
    if (stanza.trim() === "") continue;
    const name = fieldOf(stanza, "Package");
    const version = fieldOf(stanza, "Version");
    if (name === undefined || version === undefined) throw badStanza(stanza);
    yield { name, version, field: fieldOf(stanza, "Source") };
  }
}

function fieldOf(stanza: string, name: string): string | undefined {
  const label = `${name}:`;
  const at = stanza.startsWith(label) ? 0 : stanza.indexOf(`\n${label}`) + 1;
  if (at === 0 && !stanza.startsWith(label)) return undefined;
  const end = stanza.indexOf("\n", at);
  return stanza.slice(at + label.length, end < 0 ? stanza.length : end).trim();
}

function badStanza(stanza: string): Error {
  return failure("bad-index", `a stanza of a package index has no Package or no Version: ${stanza.slice(0, 60)}`);
}
