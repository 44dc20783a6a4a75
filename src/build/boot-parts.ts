import { join } from "node:path";
import { assert } from "../base/error.ts";
import { hashOf } from "../base/hash.ts";
import { sortedBy } from "../base/order.ts";
import { bootFiles, systemdBootPath } from "../image/boot/boot-files.ts";
import { grubCoreImage, grubTools } from "../image/boot/grub-core.ts";
import type { FatFile } from "../image/fat/write-fat.ts";
import { buildInitrd } from "../image/initrd/build-initrd.ts";
import { rootArguments } from "../image/initrd/root-arguments.ts";
import type { FileEntry, FileTree } from "../store/file-tree.ts";
import { readContent } from "../store/read-content.ts";
import type { SegmentTable } from "../store/segment.ts";
import { toolRoot } from "../store/tool-root.ts";
import { writeSegment } from "../store/write-segment.ts";
import type { RealisedSystem } from "./compose.ts";
import { packagesTree } from "./packages-tree.ts";
import type { ResolvedSystem } from "./prepare.ts";
import { type BuildSession, stage } from "./session.ts";
import { sourceDigest } from "./source-digest.ts";
import type { WorkAhead } from "./work-ahead.ts";

type StoredFile = Pick<FileEntry, "size" | "content">;

/** The files of the EFI system partition: kernel and initrd, with what each loader needs beside them. */
export async function efiFiles(session: BuildSession, system: RealisedSystem): Promise<readonly FatFile[]> {
  const { manifest } = system.prepared;
  const root = manifest.fileSystems.find(({ mountPoint }) => mountPoint === "/");
  assert(root, "a lowered system has a root file system");
  const loaderPath = systemdBootPath(manifest.architecture);
  return bootFiles({
    architecture: manifest.architecture,
    timeout: manifest.bootloader.timeout,
    entries: [
      {
        id: "system",
        title: `${manifest.hostName}, Linux ${system.kernel.version}`,
        kernel: fileIn(system.tree, system.kernel.image),
        initrd: await initrd(session, system),
        arguments: [...rootArguments(root), ...manifest.kernel.arguments],
      },
    ],
    ...(loaderPath ? { systemdBoot: fileIn(system.bootTree, loaderPath) } : {}),
  });
}

/** GRUB's two images for starting by BIOS; undefined for machines that have none. */
export async function grubImages(
  session: BuildSession,
  { prepared, toolTree: tree, readFile: read }: Pick<RealisedSystem, "prepared" | "toolTree" | "readFile">,
): Promise<{ bootImage: Uint8Array; coreImage: Uint8Array } | undefined> {
  if (prepared.manifest.architecture !== "amd64") return undefined;
  const core = await kept(
    session,
    "grub",
    { inputs: identities(tree, /^\/usr\/(bin\/grub-mkimage$|lib\/grub\/i386-pc\/)/) },
    async () => {
      const cacheDirectory = join(session.store.directory, "cache", "tools");
      const { directory } = await toolRoot({ tree, ...grubTools, read, cacheDirectory });
      const folder = session.store.scratchPath(2 ** 20);
      return grubCoreImage({ toolRoot: directory, folder, signal: session.signal });
    },
  );
  return {
    bootImage: read(regularFile(tree, "/usr/lib/grub/i386-pc/boot.img")),
    coreImage: read(asEntry(core)),
  };
}

/** GRUB's images made as soon as the packages of its tools are there. */
export function grubAhead(session: BuildSession, prepared: ResolvedSystem): WorkAhead {
  const { toolPackages: packages } = prepared;
  const readFile = ({ content, size }: FileEntry): Uint8Array => readContent(session.store, content, size);
  const run = async () => grubImages(session, { prepared, toolTree: packagesTree(session, packages), readFile });
  return { packages, run };
}

/** The same for every machine with this kernel. */
function initrd(session: BuildSession, system: RealisedSystem): Promise<StoredFile> {
  const { kernel, tree, bootTree, readFile } = system;
  const moduleNames = system.prepared.manifest.kernel.initrdModules;
  const busybox = regularFile(bootTree, "/usr/bin/busybox");
  const image = regularFile(tree, kernel.image);
  const inputs = [busybox.content, image.content].map(identity);
  return kept(session, "initrd", { inputs, version: kernel.version, modulesDep: kernel.modulesDep, moduleNames }, () =>
    buildInitrd({
      kernelVersion: kernel.version,
      modulesDep: kernel.modulesDep,
      modulesBuiltin: kernel.modulesBuiltin,
      moduleNames,
      busybox: readFile(busybox),
      readModule: (path) => readFile(regularFile(tree, `${kernel.modules}/${path}`)),
    }),
  );
}

/** A computed file, kept as a segment under the digest of what it is computed from. */
async function kept(
  session: BuildSession,
  name: string,
  inputs: object,
  compute: () => Uint8Array | Promise<Uint8Array>,
): Promise<StoredFile> {
  const id = hashOf({ name, program: sourceDigest(), ...inputs });
  const table = session.store.findSegment(id) ?? (await makeUnderLock(session, name, id, compute));
  const entry = table.entries[0];
  assert(entry?.kind === "file", `segment ${id} holds one file`);
  return { size: entry.size, content: { kind: "segment", segment: id, offset: entry.offset } };
}

/** Several processes that start at once make it once. */
async function makeUnderLock(
  session: BuildSession,
  name: string,
  id: string,
  compute: () => Uint8Array | Promise<Uint8Array>,
): Promise<SegmentTable> {
  const lock = await session.store.lock(`${name}-${id}`, { signal: session.signal });
  const make = async (): Promise<SegmentTable> =>
    writeSegment(session.store, id, [
      { kind: "file", path: `/${name}`, mode: 0o644, uid: 0, gid: 0, mtime: 1, bytes: await compute() },
    ]);
  try {
    return session.store.findSegment(id) ?? (await stage(session, name, make));
  } finally {
    lock.release();
  }
}

function identities(tree: FileTree, wanted: RegExp): unknown[] {
  return sortedBy(tree, ([path]) => path).flatMap(([path, entry]) =>
    wanted.test(path) && entry.kind === "file" ? [[path, entry.size, identity(entry.content)]] : [],
  );
}

function identity(content: FileEntry["content"]): unknown {
  assert(content.kind === "segment", "what packages bring lies in segments");
  return [content.segment, content.offset];
}

function fileIn(tree: FileTree, path: string): StoredFile {
  const { size, content } = regularFile(tree, path);
  return { size, content };
}

function regularFile(tree: FileTree, path: string): FileEntry {
  const entry = tree.get(path);
  assert(entry?.kind === "file", `${path} is a file of the packages that were asked for`);
  return entry;
}

function asEntry({ size, content }: StoredFile): FileEntry {
  return { kind: "file", size, content, mode: 0o644, uid: 0, gid: 0, mtime: 1, origin: "boot" };
}
