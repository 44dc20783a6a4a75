import { execFileSync } from "node:child_process";
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { sha256 } from "../src/base/hash.ts";
import { type RealisedSystem, realiseSystem } from "../src/build/compose.ts";
import { layOutDisk } from "../src/build/disk-image.ts";
import { openSystem } from "../src/build/open-system.ts";
import { type PreparedSystem, prepareSystem } from "../src/build/prepare.ts";
import type { BuildSession } from "../src/build/session.ts";
import { changedBlocks } from "../src/image/output/recipe-identity.ts";
import { inherit } from "../src/index.ts";
import { extractTree } from "../src/store/extract-tree.ts";
import type { FileTree, TreeEntry } from "../src/store/file-tree.ts";
import { writeSegment } from "../src/store/write-segment.ts";
import { table } from "./measure.ts";

const blockBytes = 4096;
const objectBytes = 4 << 20;

/**
 * How much of an image differs after a small change, here and in images that the peers make of the same trees:
 * 4 KiB blocks and 4 MiB objects, as Ceph RBD cuts images.
 */
export async function changeTable(session: BuildSession, prepared: PreparedSystem, folder: string): Promise<string> {
  const before = await realiseSystem(session, prepared);
  const changes: readonly [string, RealisedSystem][] = [
    ["one 20 kB file more in /etc", withTree(before, addFile(before.tree, "/etc/added", 20_000))],
    ["one daemon 8 kB larger", await withGrownFile(session, before, "/usr/bin/dbus-daemon", 8192)],
    ["one package more", await withPackage(session)],
  ];
  const rows: string[][] = [];
  const identify = (id: string): string => session.store.readSegmentTable(id).dataSha256;
  for (const type of ["ext4", "erofs"] as const) {
    const old = (await layOutDisk(session, withType(before, type))).recipe;
    for (const [name, system] of changes) {
      const { blocks, objects } = changedBlocks(
        old,
        (await layOutDisk(session, withType(system, type))).recipe,
        identify,
      );
      const shown = `${blocks} blocks, ${objects} objects`;
      const row = rows.find(([what]) => what === name);
      if (row) row.push(shown);
      else rows.push([name, shown]);
    }
  }
  const peers = [
    [
      "mke2fs -d",
      (tree: string, image: string) =>
        run("mke2fs", [
          "-q",
          "-t",
          "ext4",
          "-E",
          "hash_seed=00000000-0000-4000-8000-000000000000",
          "-U",
          "00000000-0000-4000-8000-000000000001",
          "-d",
          tree,
          image,
          "1G",
        ]),
    ],
    [
      "mkfs.erofs",
      (tree: string, image: string) =>
        run("mkfs.erofs", ["-T1", "-U", "00000000-0000-4000-8000-000000000001", image, tree]),
    ],
  ] as const;
  for (const [name, make] of peers) {
    const image = (system: RealisedSystem, label: string): string => {
      const tree = join(folder, `tree-${name.split(" ")[0]}-${label}`);
      extractTree(session.store, system.tree, tree);
      const file = `${tree}.img`;
      make(tree, file);
      return file;
    };
    const old = blockDigests(image(before, "before"));
    for (const [index, [, system]] of changes.entries()) {
      rows[index]!.push(compare(old, blockDigests(image(system, String(index)))));
    }
  }
  return table(["change", "our ext4", "our EROFS", "mke2fs -d", "mkfs.erofs"], rows);
}

/** The same system with another type of root file system. */
function withType(system: RealisedSystem, type: string): RealisedSystem {
  const { prepared } = system;
  const fileSystems = prepared.manifest.fileSystems.map((one) => (one.mountPoint === "/" ? { ...one, type } : one));
  return { ...system, prepared: { ...prepared, manifest: { ...prepared.manifest, fileSystems } } };
}

function withTree(system: RealisedSystem, tree: FileTree): RealisedSystem {
  return { ...system, tree };
}

function addFile(tree: FileTree, path: string, size: number): FileTree {
  const bytes = Buffer.alloc(size, "added\n");
  const entry: TreeEntry = {
    kind: "file",
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtime: 1,
    origin: "bench",
    size,
    content: { kind: "bytes", bytes },
  };
  return new Map([...tree, [path, entry]]);
}

/** As an update of its package would be: all files of the package in a segment of another identity. */
async function withGrownFile(
  session: BuildSession,
  system: RealisedSystem,
  path: string,
  by: number,
): Promise<RealisedSystem> {
  const { tree, readFile } = system;
  const grown = tree.get(path);
  if (grown?.kind !== "file" || grown.content.kind !== "segment") throw new Error(`${path} comes from no package`);
  const old = grown.content.segment;
  const files = [...tree].flatMap(([name, entry]) =>
    entry.kind === "file" && entry.content.kind === "segment" && entry.content.segment === old
      ? [
          {
            path: name,
            entry,
            bytes: name === path ? Buffer.concat([readFile(entry), Buffer.alloc(by, 1)]) : readFile(entry),
          },
        ]
      : [],
  );
  const id = sha256(`bench ${old} ${path} ${by}`);
  const table = await writeSegment(
    session.store,
    id,
    files.map(({ path: name, entry: { mode, uid, gid, mtime }, bytes }) => ({
      kind: "file",
      path: name,
      mode,
      uid,
      gid,
      mtime,
      bytes,
    })),
  );
  const changed = new Map(tree);
  for (const [index, { path: name, entry }] of files.entries()) {
    const made = table.entries[index]!;
    if (made.kind !== "file") throw new Error("a segment keeps the order of its files");
    changed.set(name, { ...entry, size: made.size, content: { kind: "segment", segment: id, offset: made.offset } });
  }
  return withTree(system, changed);
}

async function withPackage(session: BuildSession): Promise<RealisedSystem> {
  const base = await openSystem(join(import.meta.dirname, "..", "examples", "mini-1.ts"));
  const os = inherit(base, (old) => ({ packages: [...old.packages, "lsof"] }));
  return realiseSystem(session, await prepareSystem(session, os));
}

function run(command: string, args: readonly string[]): void {
  execFileSync(command, [...args], {
    env: { ...process.env, SOURCE_DATE_EPOCH: "1" },
    stdio: ["ignore", "ignore", "pipe"],
  });
}

/** A digest for each block that is not zeros, by number. */
function blockDigests(path: string): Map<number, string> {
  const digests = new Map<number, string>();
  const file = openSync(path, "r");
  const buffer = Buffer.alloc(objectBytes);
  const zeros = Buffer.alloc(blockBytes);
  const { size } = statSync(path);
  for (let at = 0; at < size; at += buffer.length) {
    const got = readSync(file, buffer, 0, buffer.length, at);
    for (let offset = 0; offset < got; offset += blockBytes) {
      const block = buffer.subarray(offset, Math.min(got, offset + blockBytes));
      if (!block.equals(zeros.subarray(0, block.length))) digests.set((at + offset) / blockBytes, sha256(block));
    }
  }
  closeSync(file);
  return digests;
}

function compare(before: ReadonlyMap<number, string>, after: ReadonlyMap<number, string>): string {
  const numbers = new Set([...before.keys(), ...after.keys()]);
  const changed = [...numbers].filter((number) => before.get(number) !== after.get(number));
  const objectOf = (number: number): number => Math.floor((number * blockBytes) / objectBytes);
  const objects = new Set(changed.map(objectOf));
  const all = new Set([...numbers].map(objectOf));
  return `${changed.length} blocks, ${objects.size} of ${all.size} objects`;
}
