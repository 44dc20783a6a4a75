import { failure } from "../base/error.ts";
import type { SegmentEntry } from "../store/segment.ts";
import type { TarMember } from "./tar.ts";

/** What Linux takes: NAME_MAX and PATH_MAX, in bytes. */
const maximumNameBytes = 255;
const maximumPathBytes = 4095;

/** Collects the entries of one archive and refuses those that would reach outside of it or contradict another. */
export interface EntryCollector {
  /** Takes a member; `offset` is where a file's content lies in the segment's data. */
  add(member: TarMember, offset: number): void;
  /** The entries in the archive's order, once all are there. */
  finish(): readonly SegmentEntry[];
}

/** @throws MesoError `unsafe-archive` from both functions. */
export function createEntryCollector(): EntryCollector {
  const entries = new Map<string, SegmentEntry>();

  function add(member: TarMember, offset: number): void {
    const path = normalised(member.path);
    if (entries.has(path)) throw unsafe(`the path ${quote(path)} stands in it twice`);
    entries.set(path, entryOf(member, path, offset, entries));
  }

  /** Only now are all links known: an archive may name a link after what would lie below it. */
  function finish(): readonly SegmentEntry[] {
    const checked = new Set<string>();
    for (const path of entries.keys()) checkParents(path, entries, checked);
    return [...entries.values()];
  }

  return { add, finish };
}

function entryOf(
  member: TarMember,
  path: string,
  offset: number,
  entries: ReadonlyMap<string, SegmentEntry>,
): SegmentEntry {
  const attributes = {
    path,
    mode: member.mode,
    // dpkg goes by names first: "root" is 0 whatever number stands beside it.
    uid: member.user === "root" ? 0 : member.uid,
    gid: member.group === "root" ? 0 : member.gid,
    ...(member.user === "root" || member.user === "" ? {} : { user: member.user }),
    ...(member.group === "root" || member.group === "" ? {} : { group: member.group }),
    mtime: member.mtime,
    ...(member.xattrs ? { xattrs: member.xattrs } : {}),
  };
  switch (member.kind) {
    case "file":
      return { kind: "file", ...attributes, size: member.size, offset: member.size === 0 ? 0 : offset };
    case "directory":
      return { kind: "directory", ...attributes };
    case "symlink":
      return { kind: "symlink", ...attributes, target: symlinkTarget(member, path) };
    case "hardlink":
      return { kind: "hardlink", ...attributes, target: hardlinkTarget(member, path, entries) };
  }
}

/** The absolute path of `./usr/bin/env`, `usr/bin/env` or `./usr/bin/`. */
function normalised(path: string): string {
  checkText(path, "a path", maximumPathBytes);
  if (path.startsWith("/")) throw unsafe(`the path ${quote(path)} is absolute`, "paths below ./");
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  for (const name of names) {
    if (name === "..") throw unsafe(`the path ${quote(path)} climbs out of the archive`, "paths below ./");
    // A name of ASCII letters has as many bytes as characters; others are measured.
    if (name.length > maximumNameBytes / 3 && Buffer.byteLength(name) > maximumNameBytes) {
      throw unsafe(`a name in the path ${quote(path)} is longer than ${maximumNameBytes} bytes`);
    }
  }
  return `/${names.join("/")}`;
}

/** May point anywhere: it means something only on the finished system, and nothing here follows it. */
function symlinkTarget(member: TarMember, path: string): string {
  checkText(member.target, `the target of ${quote(path)}`, maximumPathBytes);
  return member.target;
}

/** A file that came before, as tar has it; a link to a link leads to that one's file. */
function hardlinkTarget(member: TarMember, path: string, entries: ReadonlyMap<string, SegmentEntry>): string {
  const target = normalised(member.target);
  const entry = entries.get(target);
  if (entry?.kind === "file") return target;
  if (entry?.kind === "hardlink") return entry.target;
  throw unsafe(
    `the hard link ${quote(path)} leads to ${quote(target)}, which is ${entry ? `a ${entry.kind}` : "not before it in the archive"}`,
    "a file of the same archive",
  );
}

function checkParents(path: string, entries: ReadonlyMap<string, SegmentEntry>, checked: Set<string>): void {
  for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1)) {
    const parent = path.slice(0, end);
    if (checked.has(parent)) return;
    const kind = entries.get(parent)?.kind ?? "directory";
    if (kind !== "directory") {
      throw unsafe(`${quote(path)} lies below ${quote(parent)}, which is a ${kind} of the same archive`);
    }
    checked.add(parent);
  }
  const root = entries.get("/")?.kind ?? "directory";
  if (root !== "directory") throw unsafe(`its root is a ${root}`);
}

function checkText(text: string, what: string, maximumBytes: number): void {
  if (text === "") throw unsafe(`${what} is empty`);
  // A line break would split the package's list of files.
  if (/[\0\n]/.test(text)) throw unsafe(`${what} holds a NUL or a line break: ${quote(text)}`);
  if (text.length > maximumBytes / 3 && Buffer.byteLength(text) > maximumBytes) {
    throw unsafe(`${what} is longer than ${maximumBytes} bytes`);
  }
}

function quote(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}

function unsafe(what: string, expected?: string) {
  return failure("unsafe-archive", what, expected === undefined ? {} : { expected });
}
