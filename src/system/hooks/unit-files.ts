import { sortedBy } from "../../base/order.ts";
import type { FileEntry, FileTree } from "../../store/file-tree.ts";
import { fileAt, realPath } from "../draft-tree.ts";

/** Where systemd looks for system units, first found first (systemd.unit(5)). */
export const unitFolders = ["/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"];

export interface UnitFile {
  /** The name of its file: `getty@.service` for `getty@tty1.service`, the real one for an alias. */
  readonly name: string;
  readonly path: string;
  readonly instance?: string;
}

/** The file that a unit's name stands for, aliases and templates followed. */
export function findUnit(tree: FileTree, unit: string): UnitFile | undefined {
  const at = /^([^@]+@)([^@]+)(\.[a-z]+)$/.exec(unit);
  const names = at ? [unit, `${at[1]}${at[3]}`] : [unit];
  for (const name of names) {
    for (const folder of unitFolders) {
      const path = `${folder}/${name}`;
      const entry = tree.get(path);
      if (entry === undefined) continue;
      if (entry.kind === "symlink" && realPath(tree, path) === "/dev/null") return undefined;
      if (fileAt(tree, path) === undefined) continue;
      const alias = entry.kind === "symlink" ? aliasOf(tree, path) : undefined;
      const found = alias ?? { name, path };
      return at && found.name.includes("@.") ? { ...found, instance: at[2]! } : found;
    }
  }
  return undefined;
}

/** A link to another unit is an alias; a link out of the unit folders is a unit kept elsewhere. */
function aliasOf(tree: FileTree, path: string): { name: string; path: string } | undefined {
  const real = realPath(tree, path);
  const folder = unitFolders.find((one) => real.startsWith(`${one}/`));
  return folder === undefined ? undefined : { name: real.slice(folder.length + 1), path: real };
}

/** Values of a section's keys, of the unit and its drop-ins, in systemd's order; an empty value resets. */
export function unitSection(
  tree: FileTree,
  unit: UnitFile,
  section: string,
  readFile: (entry: FileEntry) => Uint8Array,
): ReadonlyMap<string, readonly string[]> {
  const values = new Map<string, string[]>();
  for (const path of [unit.path, ...dropIns(tree, unit.name)]) {
    const entry = fileAt(tree, path);
    if (entry) readSection(Buffer.from(readFile(entry)).toString("utf8"), section, values);
  }
  return values;
}

function dropIns(tree: FileTree, name: string): string[] {
  const byName = new Map<string, string>();
  for (const folder of [...unitFolders].reverse()) {
    const prefix = `${folder}/${name}.d/`;
    if (!tree.has(prefix.slice(0, -1))) continue;
    for (const path of tree.keys()) {
      if (path.startsWith(prefix) && path.endsWith(".conf")) byName.set(path.slice(prefix.length), path);
    }
  }
  return sortedBy(byName, ([file]) => file).map(([, path]) => path);
}

/** systemd.syntax(7): sections, comments, lines continued by a backslash. */
function readSection(text: string, section: string, values: Map<string, string[]>): void {
  let inside = false;
  for (const line of text.replace(/\\\n(?:[ \t]*[#;][^\n]*\n)*/g, " ").split("\n")) {
    const trimmed = line.trim();
    if (trimmed === "" || /^[#;]/.test(trimmed)) continue;
    if (trimmed.startsWith("[")) {
      inside = trimmed === `[${section}]`;
      continue;
    }
    const equals = trimmed.indexOf("=");
    if (!inside || equals <= 0) continue;
    const key = trimmed.slice(0, equals).trim();
    const value = trimmed.slice(equals + 1).trim();
    if (value === "") values.set(key, []);
    else values.set(key, [...(values.get(key) ?? []), value]);
  }
}
