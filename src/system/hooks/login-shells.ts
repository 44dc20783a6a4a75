import { sortedBy } from "../../base/order.ts";
import type { FileEntry } from "../../store/file-tree.ts";
import { type DraftTree, fileAt, generatedFile, realPath } from "../draft-tree.ts";

const template = "/usr/share/debianutils/shells";
const contributed = "/usr/share/debianutils/shells.d/";

/**
 * /etc/shells as update-shells(8) makes it: the template, then the shells of packages, each also by its real folder;
 * and at its end what scripts put there by add-shell(8), which update-shells then keeps.
 */
export function listShells(
  tree: DraftTree,
  readFile: (entry: FileEntry) => Uint8Array,
  added: readonly string[] = [],
): void {
  const read = (path: string) => {
    const entry = fileAt(tree, path);
    return entry ? Buffer.from(readFile(entry)).toString("utf8").split("\n") : [];
  };
  if (!tree.has(template)) return;
  const start = read(template).filter((line) => line !== "");
  const files = [...tree.keys()].filter((path) => path.startsWith(contributed));
  const sources = [template, ...sortedBy(files, (path) => path)];
  const wanted = sources.flatMap(read).flatMap((line) => {
    const shell = line.replace(/#.*/, "").trim();
    if (shell === "") return [];
    const cut = shell.lastIndexOf("/");
    return [shell, `${realPath(tree, shell.slice(0, cut))}${shell.slice(cut)}`];
  });
  const lines = [...new Set([...start, ...wanted, ...added])];
  const state = [...new Set(wanted)];
  const origin = "login shells";
  tree.set("/etc/shells", generatedFile(lines.map((line) => `${line}\n`).join(""), { origin }));
  tree.set("/var/lib/shells.state", generatedFile(state.map((line) => `${line}\n`).join(""), { origin }));
}
