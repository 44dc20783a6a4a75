import { readElf } from "../../base/elf.ts";
import { MesoError } from "../../base/error.ts";
import { compareBytes } from "../../base/order.ts";
import type { FileEntry, FileTree } from "../../store/file-tree.ts";
import { fileAt, realPath } from "../draft-tree.ts";
import { type CachedLibrary, compareLibraryNames, linkerCacheFile } from "./linker-cache-file.ts";

/**
 * /etc/ld.so.cache as `ldconfig -X` makes it of a tree, from nothing but the headers of its libraries. Running ldconfig
 * takes a copy of all of them, which was a tenth of the time that an image takes.
 *
 * @param libcVersion of Debian's package libc-bin, which brings ldconfig: it puts its name into the file.
 * @returns undefined for what is not known here, and ldconfig has to be run for: folders for certain processors only,
 *   other machines than amd64 and arm64, configuration beyond lists of folders, damaged libraries.
 */
export function linkerCache(
  tree: FileTree,
  libcVersion: string,
  readFile: (entry: FileEntry) => Uint8Array,
): Uint8Array | undefined {
  try {
    const ldconfig = fileAt(tree, "/usr/sbin/ldconfig");
    const machine = ldconfig && factsOf(ldconfig, readFile)?.machine;
    if (machine === undefined || flagsByMachine[machine] === undefined) return undefined;
    const folders = searchedFolders(tree, readFile);
    const names = namesIn(tree, new Set(folders.map(({ real }) => real)));
    const libraries = folders.flatMap(({ path, real }) => {
      const inside = names.get(real) ?? [];
      if (inside.some((name) => forSomeProcessors.test(name))) throw new NotKnownHere();
      return librariesOf(tree, readFile, machine, path, real, inside);
    });
    return linkerCacheFile(libraries, generatorOf(libcVersion));
  } catch (error) {
    if (error instanceof NotKnownHere || (error instanceof MesoError && error.code === "bad-elf")) return undefined;
    throw error;
  }
}

class NotKnownHere extends Error {}

/** By the machine of ldconfig itself and of the library: sysdeps/unix/sysv/linux/{x86_64,aarch64}/readelflib.c. */
const flagsByMachine: Readonly<Record<number, number>> = { 62: 0x0303, 183: 0x0a03 };

/** Libraries of 32 bits beside those of 64, which have flags by what they are linked to: i386 and arm. */
const smallerMachines = [3, 40];

/** glibc-hwcaps(7), and what versions before 2.37 looked for. */
const forSomeProcessors = /^(glibc-hwcaps|tls|haswell|xeon_phi|avx512_1|sse2|i[3-6]86|x86_64|atomics|aarch64)$/;

/** PKGVERSION and VERSION of Debian's builds. */
function generatorOf(libcVersion: string): string {
  const version = libcVersion.replace(/\+b\d+$/, "");
  return `ldconfig (Debian GLIBC ${version}) stable release version ${version.replace(/-[^-]*$/, "")}`;
}

interface SearchedFolder {
  /** As it is written, which is what the cache says. */
  readonly path: string;
  readonly real: string;
}

/** Those of the configuration, then the two that ldconfig knows by itself; each once, however it is called. */
function searchedFolders(tree: FileTree, readFile: (entry: FileEntry) => Uint8Array): SearchedFolder[] {
  const folders = new Map<string, SearchedFolder>();
  for (const line of [...configuredFolders(tree, readFile, "/etc/ld.so.conf"), "/lib", "/usr/lib"]) {
    const path = line.replace(/[\s/]+$/, "");
    if (!path.startsWith("/") || path.includes("=")) throw new NotKnownHere();
    const real = realPath(tree, path);
    if (tree.get(real)?.kind === "directory" && !folders.has(real)) folders.set(real, { path, real });
  }
  return [...folders.values()];
}

function configuredFolders(
  tree: FileTree,
  readFile: (entry: FileEntry) => Uint8Array,
  path: string,
  depth = 0,
): string[] {
  const file = fileAt(tree, path);
  if (!file) return [];
  if (depth > 8) throw new NotKnownHere();
  const lines = Buffer.from(readFile(file)).toString("utf8").split("\n");
  return lines.flatMap((raw) => {
    const line = raw.replace(/#.*/, "").trimStart();
    if (line === "" || /^hwcap[ \t]/i.test(line)) return [];
    if (!/^include[ \t]/.test(line)) return [line];
    const patterns = line
      .slice("include".length)
      .trim()
      .split(/[ \t]+/);
    return patterns.flatMap((pattern) =>
      matchesOf(tree, pattern).flatMap((found) => configuredFolders(tree, readFile, found, depth + 1)),
    );
  });
}

/** Files by a pattern like /etc/ld.so.conf.d/*.conf, in the order of their bytes. */
function matchesOf(tree: FileTree, pattern: string): string[] {
  const [, folder, suffix] = /^((?:\/[^*?[\]/]+)*\/)\*([^*?[\]/]*)$/.exec(pattern) ?? [];
  if (folder === undefined || suffix === undefined) throw new NotKnownHere();
  const matches = [...tree.keys()].filter((path) => {
    const name = path.startsWith(folder) ? path.slice(folder.length) : "";
    return name !== "" && !name.includes("/") && !name.startsWith(".") && name.endsWith(suffix);
  });
  return matches.sort(compareBytes);
}

/** The names right in each of the folders. */
function namesIn(tree: FileTree, folders: ReadonlySet<string>): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const path of tree.keys()) {
    const cut = path.lastIndexOf("/");
    const folder = path.slice(0, cut);
    if (!folders.has(folder)) continue;
    const inside = names.get(folder);
    if (inside) inside.push(path.slice(cut + 1));
    else names.set(folder, [path.slice(cut + 1)]);
  }
  for (const inside of names.values()) inside.sort(compareBytes);
  return names;
}

/** `search_dir` of elf/ldconfig.c: of several files with one soname, the newest by its name; files before links. */
function librariesOf(
  tree: FileTree,
  readFile: (entry: FileEntry) => Uint8Array,
  machine: number,
  path: string,
  real: string,
  names: readonly string[],
): CachedLibrary[] {
  const found = new Map<string, { name: string; isLink: boolean }>();
  for (const name of names) {
    if (!/^(lib|ld-).*\.so|^(ld|ld64)\.so\./.test(name)) continue;
    const entry = tree.get(`${real}/${name}`);
    const file = fileBehind(tree, `${real}/${name}`);
    const facts = file && factsOf(file, readFile);
    if (facts?.type !== "shared") continue;
    if (smallerMachines.includes(facts.machine) || (facts.machine === machine && facts.bits === 32)) {
      throw new NotKnownHere();
    }
    if (facts.machine !== machine) continue;
    const soname = facts.soname ?? name;
    // A link counts as one only as a name of the library itself, or as what programs are linked by: libz.so.
    const isLink = entry?.kind === "symlink" && (name === soname || (name.endsWith(".so") && soname.startsWith(name)));
    const key = isLink ? name : soname;
    const other = found.get(key);
    const isBetter = !other || (isLink === other.isLink ? compareLibraryNames(other.name, name) < 0 : other.isLink);
    if (isBetter) found.set(key, { name, isLink });
  }
  const flags = flagsByMachine[machine]!;
  return [...found.keys()].map((name) => ({ name, path: `${path}/${name}`, flags }));
}

/** undefined for folders, and for links that lead nowhere. */
function fileBehind(tree: FileTree, path: string): FileEntry | undefined {
  if (tree.get(path)?.kind === "directory") return undefined;
  try {
    return fileAt(tree, path);
  } catch (error) {
    if (error instanceof MesoError && error.code === "link-loop") return undefined;
    throw error;
  }
}

interface LibraryFacts {
  readonly machine: number;
  readonly bits: 32 | 64;
  readonly type: string;
  readonly soname?: string;
}

/** By segment and offset: machines have most libraries in common, and what a segment holds does not change. */
const knownFacts = new Map<string, LibraryFacts | undefined>();

/** undefined for what is no ELF file, as the linker scripts of compilers. */
function factsOf(file: FileEntry, readFile: (entry: FileEntry) => Uint8Array): LibraryFacts | undefined {
  const { content } = file;
  if (content.kind === "bytes") return readFacts(file, readFile);
  const key = `${content.segment} ${content.offset}`;
  if (!knownFacts.has(key)) knownFacts.set(key, readFacts(file, readFile));
  return knownFacts.get(key);
}

function readFacts(file: FileEntry, readFile: (entry: FileEntry) => Uint8Array): LibraryFacts | undefined {
  const range = rangeReader(file, readFile);
  const start = range(0, Math.min(4, file.size));
  if (Buffer.from(start).toString("latin1") !== "\x7fELF") return undefined;
  const { machine, bits, type, soname } = readElf({ length: file.size, range }, "a library");
  return { machine, bits, type, ...(soname !== undefined && { soname }) };
}

/** Of a library of megabytes, the headers at its beginning and a page or two near its end are read. */
function rangeReader(file: FileEntry, readFile: (entry: FileEntry) => Uint8Array) {
  const pages = new Map<number, Uint8Array>();
  const page = (index: number): Uint8Array => {
    const known = pages.get(index);
    if (known) return known;
    const start = index * pageBytes;
    const read = readFile(partOf(file, start, Math.min(pageBytes, file.size - start)));
    pages.set(index, read);
    return read;
  };
  return (offset: number, length: number): Uint8Array => {
    const first = Math.floor(offset / pageBytes);
    const last = Math.floor((offset + Math.max(length, 1) - 1) / pageBytes);
    const pieces = Array.from({ length: last - first + 1 }, (_, i) => page(first + i));
    const whole = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
    return whole.subarray(offset - first * pageBytes, offset - first * pageBytes + length);
  };
}

const pageBytes = 1 << 14;

function partOf(file: FileEntry, start: number, size: number): FileEntry {
  const { content } = file;
  return {
    ...file,
    size,
    content:
      content.kind === "bytes"
        ? { kind: "bytes", bytes: content.bytes.subarray(start, start + size) }
        : { ...content, offset: content.offset + start },
  };
}
