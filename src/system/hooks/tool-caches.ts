import type { FileEntry, FileTree, TreeEntry } from "../../store/file-tree.ts";
import { type DraftTree, generatedFile } from "../draft-tree.ts";
import { linkerCache } from "./linker-cache.ts";

/**
 * A program of the system's own packages to run on a copy of a part of the tree. A pure function of its inputs,
 * so whoever runs it may keep the outputs by their digest.
 */
export interface ToolRun {
  /** Names the run in progress displays and errors. */
  readonly name: string;
  /** Absolute path in `tree`; with the libraries it needs, taken from there too. */
  readonly program: string;
  /**
   * Absolute paths of libraries and further programs that it loads without being linked to them, in the tree that
   * the program comes from, which is not this one when the machine is foreign: kmod opens liblzma and libzstd only
   * when it meets a compressed module, and without them sees no symbol and says nothing.
   */
  readonly alsoLoads?: RegExp;
  /** Others take longer, and everything waits for the last of them: this one gives way. */
  readonly isShort?: boolean;
  /** Makes nothing for a machine of another architecture than this host's. */
  readonly nativeOnly?: boolean;
  /** `{root}` stands for the folder that holds the inputs. */
  readonly arguments: readonly string[];
  /** Laid out below the folder before the run; complete with parent folders. */
  readonly inputs: FileTree;
  /** Paths, as in the tree, of the files to bring back. */
  readonly outputs: readonly string[];
  /** Of the outputs; 0644 unless said otherwise. */
  readonly mode?: number;
}

/** Files by path as in the tree. One that the tool did not write is left out. */
export type RunTool = (run: ToolRun, tree: FileTree) => Promise<ReadonlyMap<string, ToolOutput>>;

/** Kept where segments are, so that megabytes of database lie at one place in every image. */
export type ToolOutput = Pick<FileEntry, "size" | "content">;

export interface ToolCacheOptions {
  readonly runTool: RunTool;
  readonly readFile: (entry: FileEntry) => Uint8Array;
  /** Of the package libc-bin; empty when there is none. */
  readonly libcVersion: string;
}

/**
 * The binary caches that maintainer scripts and triggers fill: module dependencies, the dynamic linker's cache,
 * the hardware database, the journal's catalog; each where its tool is installed.
 */
export async function fillToolCaches(
  tree: DraftTree,
  { runTool, readFile, libcVersion }: ToolCacheOptions,
): Promise<void> {
  const linked = linkerCache(tree, libcVersion, readFile);
  if (linked) tree.set("/etc/ld.so.cache", generatedFile(linked, { origin: "ldconfig" }));
  const runs = [
    ...moduleDependencies(tree),
    ...(linked ? [] : linkerCacheRun(tree)),
    ...hardwareDatabase(tree),
    ...journalCatalog(tree),
  ];
  const results = await Promise.all(runs.map((run) => runTool(run, tree)));
  for (const [index, files] of results.entries()) {
    const { name: origin, mode = 0o644 } = runs[index]!;
    for (const [path, output] of files) tree.set(path, { ...generatedFile("", { origin, mode }), ...output });
  }
}

/** Versions of the kernels whose modules the tree holds. */
export function kernelVersions(tree: FileTree): string[] {
  const versions = new Set<string>();
  for (const path of tree.keys()) {
    const match = /^\/usr\/lib\/modules\/([^/]+)\/(kernel\/|modules\.builtin$)/.exec(path);
    if (match) versions.add(match[1]!);
  }
  return [...versions];
}

/** The runs of depmod(8) that the kernels of a tree need. */
export function moduleDependencies(tree: FileTree): ToolRun[] {
  const program = ["/usr/sbin/depmod", "/usr/bin/kmod"].find((path) => tree.has(path));
  if (program === undefined || !program.endsWith("depmod")) return [];
  return kernelVersions(tree).map((version) => {
    const folder = `/usr/lib/modules/${version}`;
    return {
      name: `depmod ${version}`,
      program,
      alsoLoads: compressionLibraries,
      arguments: ["-b", "{root}", version],
      inputs: subtree(
        tree,
        (path) => path.startsWith(`${folder}/`) || path === "/lib" || path.startsWith("/usr/lib/depmod.d/"),
      ),
      outputs: [
        "alias alias.bin builtin.alias.bin builtin.bin dep dep.bin devname softdep symbols symbols.bin weakdep".split(
          " ",
        ),
      ].flatMap((names) => names.map((name) => `${folder}/modules.${name}`)),
    };
  });
}

/** Their names in kmod's dlopen notes: libkmod-file-xz.c, libkmod-file-zstd.c, libkmod-file-zlib.c. */
const compressionLibraries = /^\/usr\/lib\/[^/]+\/lib(lzma\.so\.5|zstd\.so\.1|z\.so\.1)$/;

/** Where `linkerCache` knows too little. */
function linkerCacheRun(tree: FileTree): ToolRun[] {
  if (!tree.has("/usr/sbin/ldconfig")) return [];
  const isLibrary = (path: string) =>
    /^\/(etc\/ld\.so\.conf(\.d\/|$)|(usr\/(local\/)?|opt\/[^/]+\/)?lib(32|64|x32)?\/([^/]+\/)*[^/]*\.so(\.[^/]*)?$)/.test(
      path,
    ) || /^\/(bin|sbin|lib|lib32|lib64|libx32)$/.test(path);
  const inputs = subtree(tree, (path) => isLibrary(path) && !path.startsWith("/usr/lib/modules/"));
  // -X: the links are in the packages already, and made ones would be nobody's.
  return [
    {
      name: "ldconfig",
      program: "/usr/sbin/ldconfig",
      // It passes over libraries of other machines and lists its own. Without a cache the dynamic linker looks into
      // the folders that it knows by itself, where Debian's libraries are.
      nativeOnly: true,
      arguments: ["-X", "-r", "{root}"],
      inputs,
      outputs: ["/etc/ld.so.cache"],
    },
  ];
}

/** The run of systemd-hwdb(8) that a tree needs. */
export function hardwareDatabase(tree: FileTree): ToolRun[] {
  const inputs = subtree(tree, (path) => /^\/(usr\/lib|etc)\/udev\/hwdb\.d\//.test(path));
  if (!tree.has("/usr/bin/systemd-hwdb") || inputs.size <= 1) return [];
  return [
    {
      name: "systemd-hwdb",
      program: "/usr/bin/systemd-hwdb",
      isShort: true,
      arguments: ["--usr", "--root={root}", "update"],
      inputs,
      outputs: ["/usr/lib/udev/hwdb.bin"],
      // As systemd-hwdb leaves it (hwdb-util.c).
      mode: 0o444,
    },
  ];
}

/** The run of journalctl(1) that a tree needs. */
export function journalCatalog(tree: FileTree): ToolRun[] {
  const inputs = subtree(tree, (path) => path.startsWith("/usr/lib/systemd/catalog/"));
  if (!tree.has("/usr/bin/journalctl") || inputs.size <= 1) return [];
  return [
    {
      name: "journal catalog",
      program: "/usr/bin/journalctl",
      isShort: true,
      arguments: ["--root={root}", "--update-catalog"],
      inputs,
      outputs: ["/var/lib/systemd/catalog/database"],
    },
  ];
}

function subtree(tree: FileTree, wanted: (path: string) => boolean): FileTree {
  const part = new Map<string, TreeEntry>();
  const root = tree.get("/");
  if (root) part.set("/", root);
  for (const [path, entry] of tree) {
    if (entry.kind === "directory" || !wanted(path)) continue;
    part.set(path, entry);
    for (let cut = path.lastIndexOf("/"); cut > 0; cut = path.lastIndexOf("/", cut - 1)) {
      const parent = path.slice(0, cut);
      if (part.has(parent)) break;
      const folder = tree.get(parent);
      if (folder) part.set(parent, folder);
    }
  }
  return part;
}
