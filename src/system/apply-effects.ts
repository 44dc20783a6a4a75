import { failure } from "../base/error.ts";
import type { TreeEntry } from "../store/file-tree.ts";
import type { Accounts } from "./accounts-merge.ts";
import {
  type DraftTree,
  fileAt,
  generatedDirectory,
  generatedFile,
  generatedLink,
  place,
  realPath,
} from "./draft-tree.ts";
import type { AttributeEffect, Effects } from "./ledger/effects.ts";

/** Made by the accounts hook from all sources at once. */
const accountFiles = new Set(
  ["passwd", "group", "shadow", "gshadow", "subuid", "subgid"].map((name) => `/etc/${name}`),
);

/**
 * Leaves in the tree what a package's maintainer scripts would have left. Folders and files that packages ship
 * stay as they are; owners and modes change where the scripts say so.
 */
export function applyEffects(tree: DraftTree, origin: string, effects: Required<Effects>, accounts: Accounts): void {
  const owner = ({ user, group }: { readonly user?: string; readonly group?: string }) => ({
    ...(user === undefined ? {} : { uid: numberOf(accounts.uidOf(user), "user", user, origin) }),
    ...(group === undefined ? {} : { gid: numberOf(accounts.gidOf(group), "group", group, origin) }),
  });
  const here = (path: string) => tree.get(parentReal(tree, path));
  for (const directory of effects.directories) {
    if (isVolatile(directory.path) || here(directory.path)?.kind === "directory") continue;
    place(tree, directory.path, generatedDirectory({ mode: directory.mode, origin, ...owner(directory) }));
  }
  for (const file of effects.files) {
    if (isVolatile(file.path) || accountFiles.has(file.path) || here(file.path)) continue;
    place(tree, file.path, generatedFile(file.text, { mode: file.mode, origin, ...owner(file) }));
  }
  for (const copy of effects.copies) {
    if (accountFiles.has(copy.path) || here(copy.path)) continue;
    const from = fileAt(tree, copy.from);
    if (from === undefined) continue;
    place(tree, copy.path, {
      ...from,
      ...(copy.mode === undefined ? {} : { mode: copy.mode }),
      ...owner(copy),
      origin,
    });
  }
  for (const link of effects.links) {
    if (link.ifFolder !== undefined && tree.get(realPath(tree, link.ifFolder))?.kind !== "directory") continue;
    if (isVolatile(link.path) || here(link.path)?.kind === "symlink") continue;
    if (here(link.path)?.kind === "directory") moveFolder(tree, link.path, link.target);
    if (here(link.path) === undefined) place(tree, link.path, generatedLink(link.target, { origin }));
  }
  for (const attribute of effects.attributes) {
    changeAttributes(tree, attribute, {
      ...owner(attribute),
      ...(attribute.loginGroup
        ? { gid: numberOf(accounts.users.get(attribute.user ?? "")?.gid, "user", attribute.user ?? "", origin) }
        : {}),
    });
  }
  for (const { path, value } of effects.capabilities) {
    const real = realPath(tree, path);
    const entry = tree.get(real);
    if (entry?.kind === "file") {
      tree.set(real, {
        ...entry,
        xattrs: { ...entry.xattrs, "security.capability": Uint8Array.from(Buffer.from(value, "hex")) },
      });
    }
  }
}

/** Mounted over at boot, so that nothing put there would be seen. */
function isVolatile(path: string): boolean {
  return /^\/(run|proc|sys|dev|tmp)(\/|$)/.test(path);
}

function parentReal(tree: DraftTree, path: string): string {
  const cut = path.lastIndexOf("/");
  const folder = cut <= 0 ? "" : realPath(tree, path.slice(0, cut));
  return `${folder === "/" ? "" : folder}/${path.slice(cut + 1)}`;
}

/** A folder that is to become a link: empty folders below go, for the link's target has its own. */
function moveFolder(tree: DraftTree, path: string, target: string): void {
  const below = pathsBelow(tree, path);
  if (below.some((inner) => tree.get(inner)?.kind !== "directory") && !isVolatile(target)) return;
  for (const inner of below) tree.delete(inner);
  tree.delete(path);
}

function changeAttributes(tree: DraftTree, attribute: AttributeEffect, owner: { uid?: number; gid?: number }): void {
  const path = realPath(tree, attribute.path);
  const change = (entry: TreeEntry): TreeEntry => ({
    ...entry,
    ...owner,
    ...(attribute.mode === undefined ? {} : { mode: attribute.mode }),
  });
  const entry = tree.get(path);
  if (entry) tree.set(path, change(entry));
  if (!attribute.recursive) return;
  for (const inner of pathsBelow(tree, path)) tree.set(inner, change(tree.get(inner)!));
}

function pathsBelow(tree: DraftTree, path: string): string[] {
  const start = `${path}/`;
  return [...tree.keys()].filter((inner) => inner.startsWith(start));
}

function numberOf(number: number | undefined, kind: string, name: string, origin: string): number {
  if (number !== undefined) return number;
  throw failure("unknown-owner", `${origin} gives a path to the ${kind} ${name}, which does not exist`, {
    expected: "an account of base-passwd, of an installed package or of the record",
  });
}
