import { type ElfFile, isElf, readElf } from "../../base/elf.ts";
import { MesoError } from "../../base/error.ts";
import { compareBytes } from "../../base/order.ts";
import type { FileTree } from "../../store/file-tree.ts";
import { fileAt, realPath } from "../draft-tree.ts";
import type { Check, Finding, LintInput } from "./finding.ts";

/** Programs and libraries whose shared libraries the dynamic linker would not find (ld.so(8)). */
export const linkedLibraries: Check = (input) => {
  const { tree, readFile } = input;
  const folders = standardFolders(input);
  const findings: Finding[] = [];
  for (const [path, entry] of tree) {
    if (entry.kind !== "file" || !mayBeLinked(path, entry.mode) || entry.size < 64) continue;
    const elf = parse(readFile(entry), path);
    if (elf === undefined || elf.needed.length === 0) continue;
    for (const name of elf.needed) {
      if (name.includes("/") ? fileAt(tree, name) : isFound(tree, name, path, elf, folders)) continue;
      findings.push({
        check: "missing-library",
        // A plug-in finds the libraries of the program that loads it; a program must find its own.
        severity: elf.interpreter === undefined ? "note" : "error",
        path,
        origin: entry.origin,
        what: `needs ${name}, which no folder of the dynamic linker holds`,
        hint: "install the package that brings the library",
      });
    }
  }
  return findings;
};

function mayBeLinked(path: string, mode: number): boolean {
  if (path.startsWith("/usr/lib/modules/") || path.startsWith("/usr/lib/debug/") || path.startsWith("/boot/"))
    return false;
  return (mode & 0o111) !== 0 || /\.so(\.[0-9.]+)?$/.test(path);
}

function parse(bytes: Uint8Array, path: string): ElfFile | undefined {
  if (!isElf(bytes)) return undefined;
  try {
    return readElf(bytes, path);
  } catch (error) {
    if (error instanceof MesoError) return undefined;
    throw error;
  }
}

function isFound(tree: FileTree, name: string, path: string, elf: ElfFile, folders: readonly string[]): boolean {
  const origin = path.slice(0, path.lastIndexOf("/"));
  const own = [...elf.runpath, ...elf.rpath].map((folder) => folder.replace(/\$ORIGIN|\$\{ORIGIN\}/, origin));
  return [...own, ...folders].some((folder) => fileAt(tree, `${folder}/${name}`) !== undefined);
}

function standardFolders({ tree, readFile }: LintInput): string[] {
  const folders = new Set(["/usr/lib", "/usr/lib64", "/usr/lib32", "/usr/libx32"]);
  for (const path of [...tree.keys()].sort(compareBytes)) {
    const multiarch = /^\/usr\/lib\/([a-z0-9_]+-linux-gnu[a-z0-9]*)$/.exec(path);
    if (multiarch) folders.add(path);
    if (!/^\/etc\/ld\.so\.conf\.d\/[^/]+\.conf$/.test(path)) continue;
    const entry = fileAt(tree, path);
    const lines = entry ? Buffer.from(readFile(entry)).toString("utf8").split("\n") : [];
    for (const line of lines) {
      const folder = line.replace(/#.*/, "").trim();
      if (folder.startsWith("/")) folders.add(realPath(tree, folder));
    }
  }
  return [...folders];
}
