import { hash } from "node:crypto";
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { compareBytes } from "../../base/order.ts";
import type { FileTree } from "../../store/file-tree.ts";
import { debugfs, run } from "./image-file.testing.ts";

/** What can be said of a path, as one line: the same from a tree and from an image. */
export type Listing = ReadonlyMap<string, string>;

/** What the image should hold. `contentOf` gives a segment file's bytes. */
export function listingOf(tree: FileTree, contentOf: (segment: string) => Uint8Array): Listing {
  const lines = new Map<string, string>();
  const links = new Map<string, number>();
  for (const [path, entry] of tree) {
    const file = entry.kind === "hardlink" ? entry.target : path;
    links.set(file, (links.get(file) ?? 0) + 1);
  }
  for (const [path, own] of tree) {
    const target = own.kind === "hardlink" ? own.target : path;
    const entry = tree.get(target)!;
    const mode = entry.kind === "symlink" ? 0o777 : entry.mode;
    const owner = `${entry.kind} ${mode.toString(8)} ${entry.uid}:${entry.gid} ${entry.mtime}`;
    if (entry.kind === "symlink") lines.set(path, `${owner} -> ${entry.target}`);
    else if (entry.kind === "directory") lines.set(path, owner);
    else if (entry.kind === "file") {
      const { content, size } = entry;
      const bytes =
        content.kind === "bytes"
          ? content.bytes
          : contentOf(content.segment).subarray(content.offset, content.offset + size);
      lines.set(path, `${owner} x${links.get(target)} ${digest(bytes)}`);
    }
  }
  return sorted(lines);
}

/** What the image holds, by debugfs: attributes from `stat`, contents and targets from `rdump`. */
export function listingByDebugfs(image: string, folder: string, paths: Iterable<string>): Listing {
  const dumped = join(folder, "dumped");
  mkdirSync(dumped);
  debugfs(image, `rdump / ${dumped}`);
  const lines = new Map<string, string>();
  for (const path of allPaths(dumped, "/")) {
    if (path === "/lost+found") continue;
    lines.set(path, "");
  }
  for (const path of paths) if (!lines.has(path)) lines.set(path, "missing");
  const requests = [...lines.keys()].map((path) => `stat "${path}"`).join("\n");
  const answers = statsOf(image, requests);
  [...lines.keys()].forEach((path, i) => {
    lines.set(path, describe(answers[i]!, join(dumped, path)));
  });
  return sorted(lines);
}

function statsOf(image: string, requests: string): string[] {
  const { stdout } = run("debugfs", ["-f", "-", image], requests);
  return stdout.split(/^debugfs: stat .*$/m).slice(1);
}

const kinds: Record<string, string> = { regular: "file", directory: "directory", symlink: "symlink" };

function describe(stat: string, dumped: string): string {
  const field = (pattern: RegExp) => pattern.exec(stat)?.[1] ?? "?";
  const kind = kinds[field(/Type: (\w+)/)];
  const mode = Number.parseInt(field(/Mode: +(\d+)/), 8).toString(8);
  const seconds = Number.parseInt(field(/mtime: 0x([0-9a-f]+)/), 16);
  const epoch = Number.parseInt(field(/mtime: 0x[0-9a-f]+:([0-9a-f]+)/), 16) & 3;
  const mtime = (seconds | 0) + epoch * 2 ** 32;
  // debugfs shows numbers above 2 ** 31 as negative.
  const user = Number(field(/User: +(-?\d+)/)) >>> 0;
  const group = Number(field(/Group: +(-?\d+)/)) >>> 0;
  const owner = `${kind} ${mode} ${user}:${group} ${mtime}`;
  if (kind === "directory") return owner;
  if (kind === "symlink") return `${owner} -> ${readlinkSync(dumped)}`;
  return `${owner} x${field(/Links: (\d+)/)} ${digest(readFileSync(dumped))}`;
}

/** What the kernel shows of a mounted image. */
export function listingOfFolder(folder: string): Listing {
  const lines = new Map<string, string>();
  for (const path of allPaths(folder, "/")) {
    if (path === "/lost+found") continue;
    const full = join(folder, path);
    const stat = lstatSync(full);
    const kind = stat.isDirectory() ? "directory" : stat.isSymbolicLink() ? "symlink" : "file";
    const owner = `${kind} ${(stat.mode & 0o7777).toString(8)} ${stat.uid}:${stat.gid} ${stat.mtimeMs / 1000}`;
    if (kind === "directory") lines.set(path, owner);
    else if (kind === "symlink") lines.set(path, `${owner} -> ${readlinkSync(full)}`);
    else lines.set(path, `${owner} x${stat.nlink} ${digest(readFileSync(full))}`);
  }
  return sorted(lines);
}

function allPaths(folder: string, root: string): string[] {
  const below = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return [root, ...below.map((path) => `/${path}`)];
}

function digest(bytes: Uint8Array): string {
  return `${bytes.length} ${hash("sha1", bytes, "hex")}`;
}

function sorted(lines: ReadonlyMap<string, string>): Listing {
  return new Map([...lines].sort(([a], [b]) => compareBytes(a, b)));
}
