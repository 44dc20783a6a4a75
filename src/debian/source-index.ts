import { failure } from "../base/error.ts";
import { fieldOf, type Paragraph, parseControl } from "./control.ts";
import type { Archive } from "./mirror.ts";
import { isPlainPath } from "./release.ts";
import { compareVersions, parseVersion } from "./version.ts";

/** A source package as a signed `Sources` index tells it. */
export interface IndexedSource {
  readonly name: string;
  /** Debian's: `2.12.0-4`. */
  readonly version: string;
  readonly archive: Archive;
  readonly suite: string;
  /** Of the packaging: `3.0 (quilt)`. */
  readonly format: string;
  readonly homePage: string | undefined;
  /** The `.dsc` and what it names. */
  readonly files: readonly SourceFile[];
}

export interface SourceFile {
  readonly name: string;
  /** Below the root of the archive. */
  readonly path: string;
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

/** Which text is which suite's. */
export interface SourcesText {
  readonly text: string;
  readonly archive: Archive;
  readonly suite: string;
}

/**
 * All versions of a source package in `Sources` indices, the highest first.
 *
 * @throws MesoError `bad-index` on a stanza of that package that cannot be used.
 */
export function findSources({ text, archive, suite }: SourcesText, name: string): IndexedSource[] {
  const found: IndexedSource[] = [];
  const start = `Package: ${name}\n`;
  for (let at = text.indexOf(start); at >= 0; at = text.indexOf(start, at + 1)) {
    if (at > 0 && text[at - 1] !== "\n") continue;
    const before = text.lastIndexOf("\n\n", at);
    const end = text.indexOf("\n\n", at);
    const stanza = text.slice(before < 0 ? 0 : before + 2, end < 0 ? text.length : end);
    const [paragraph] = parseControl(stanza, { source: `Sources of ${suite}, ${name}` });
    if (paragraph) found.push(sourceOf(paragraph, name, archive, suite));
  }
  return found.sort((a, b) => compareVersions(b.version, a.version));
}

/** Debian's version without its own revision and epoch: what upstream calls it. */
export function upstreamVersion(version: string): string {
  return parseVersion(version).upstream;
}

function sourceOf(paragraph: Paragraph, name: string, archive: Archive, suite: string): IndexedSource {
  const bad = (what: string) => failure("bad-index", `the index of sources of ${suite}, ${name}: ${what}`);
  const version = fieldOf(paragraph, "Version");
  const directory = fieldOf(paragraph, "Directory");
  if (version === undefined || directory === undefined) throw bad("Version or Directory is missing");
  parseVersion(version);
  const files = (fieldOf(paragraph, "Checksums-Sha256") ?? "")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line): SourceFile => {
      const match = /^\s*([0-9a-f]{64})\s+(\d{1,15})\s+(\S+)$/.exec(line);
      if (!match) throw bad(`"${line.slice(0, 80)}" is not hash, size and name`);
      const path = `${directory}/${match[3]}`;
      if (!isPlainPath(path) || match[3]!.includes("/"))
        throw bad(`"${path.slice(0, 80)}" is no path below the archive`);
      return { name: match[3]!, path, sha256: match[1]!, size: Number(match[2]) };
    });
  if (!files.some((file) => file.name.endsWith(".dsc"))) throw bad("it names no .dsc");
  const format = fieldOf(paragraph, "Format") ?? "1.0";
  return { name, version, archive, suite, format, homePage: fieldOf(paragraph, "Homepage"), files };
}
