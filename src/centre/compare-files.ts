import { compareBytes, sortedBy } from "../base/order.ts";
import { formatBytes } from "../base/progress.ts";
import type { DescribedFile } from "./system-description.ts";
import type { Change, FileDifference } from "./system-difference.ts";
import { unifiedDiff } from "./unified-diff.ts";

/**
 * What changes among generated files. A file of the store has another name for each content: the old and the new one
 * count as one file that changed, told by the link in /etc that leads there.
 */
export function compareFiles(before: readonly DescribedFile[], after: readonly DescribedFile[]): FileDifference[] {
  const old = new Map(before.map((file) => [file.path, file]));
  const now = new Map(after.map((file) => [file.path, file]));
  const changes = [...new Set([...old.keys(), ...now.keys()])].flatMap((path): Change<DescribedFile>[] => {
    const [was, is] = [old.get(path), now.get(path)];
    if (was && is && attributesBetween(was, is).length === 0 && digestOf(was) === digestOf(is)) return [];
    return [{ ...(was && { before: was }), ...(is && { after: is }) }];
  });
  const files = joinRenamed(changes);
  const leading = linksTo(files, changes);
  const absorbed = new Set([...leading.values()].flat());
  const differences = files
    .filter((change) => !absorbed.has(change))
    .map((change) => toDifference(change, leading.get(change) ?? []));
  return sortedBy(
    differences.map((one) => withFollowed(one, differences)),
    ({ path }) => path,
  );
}

type FileChange = Change<DescribedFile>;

/** `/meso/store/<hash>-sshd_config` → `sshd_config`; undefined for what is not in the store. */
function storeName(path: string | undefined): string | undefined {
  return path === undefined ? undefined : /^\/meso\/store\/[0-9a-z]{32}-(.+)$/.exec(path)?.[1];
}

/** A file of the store that went and one that came are one, when they alone have that name and origin. */
function joinRenamed(changes: readonly FileChange[]): FileChange[] {
  const keyOf = (file: DescribedFile | undefined) => {
    const name = storeName(file?.path);
    return name === undefined || file?.kind !== "file" ? undefined : `${name}\0${file.origin.by}`;
  };
  const gone = Map.groupBy(changes, ({ before, after }) => (after ? undefined : keyOf(before)));
  const came = Map.groupBy(changes, ({ before, after }) => (before ? undefined : keyOf(after)));
  const joined = new Map<FileChange, FileChange | undefined>();
  for (const [key, olds] of gone) {
    const news = came.get(key) ?? [];
    if (key === undefined || olds.length !== 1 || news.length !== 1) continue;
    joined.set(olds[0]!, undefined);
    joined.set(news[0]!, { before: olds[0]!.before!, after: news[0]!.after! });
  }
  return changes.flatMap((change) => (joined.has(change) ? (joined.get(change) ?? []) : [change]));
}

/** Links that change only because the file of the store that they lead to has another name, by that file's change. */
function linksTo(files: readonly FileChange[], changes: readonly FileChange[]): Map<FileChange, FileChange[]> {
  const byTargets = new Map(
    files
      .filter(({ before, after }) => storeName((after ?? before)!.path) !== undefined)
      .map((change) => [targetsKey(change.before?.path, change.after?.path), change]),
  );
  const leading = new Map<FileChange, FileChange[]>();
  for (const link of changes) {
    const { before, after } = link;
    if ((before && before.kind !== "symlink") || (after && after.kind !== "symlink")) continue;
    if (before && after && (before.user !== after.user || before.group !== after.group)) continue;
    const file = byTargets.get(targetsKey(before?.target, after?.target));
    if (file === undefined) continue;
    const others = leading.get(file);
    if (others) others.push(link);
    else leading.set(file, [link]);
  }
  return leading;
}

function targetsKey(before: string | undefined, after: string | undefined): string {
  return `${before ?? ""}\0${after ?? ""}`;
}

function toDifference(change: FileChange, links: readonly FileChange[]): FileDifference {
  const { before, after } = change;
  const sorted = [...links].sort((a, b) => compareBytes(pathOf(a), pathOf(b)));
  const patch = patchOf(before, after);
  return {
    path: sorted[0] === undefined ? pathOf(change) : pathOf(sorted[0]),
    kind: before === undefined ? "added" : after === undefined ? "removed" : "changed",
    origin: (after ?? before)!.origin,
    ...(patch !== "" && { patch }),
    attributes: before && after ? attributesBetween(before, after) : [],
    ...change,
    links: sorted,
  };
}

/** A unit that runs a script of the store changes with the script's name: what is worth reading is in the script. */
function withFollowed(difference: FileDifference, all: readonly FileDifference[]): FileDifference {
  const [was, is] = [textOf(difference.before), textOf(difference.after)];
  if (difference.kind !== "changed" || was === undefined || is === undefined) return difference;
  const renamed = all.filter(
    ({ before, after }) => before && after && before.path !== after.path && was.includes(before.path),
  );
  const text = renamed.reduce((told, { before, after }) => told.replaceAll(before!.path, after!.path), was);
  return renamed.length === 0 || text !== is ? difference : { ...difference, follows: renamed.map(({ path }) => path) };
}

function pathOf({ before, after }: FileChange): string {
  return (after ?? before)!.path;
}

function digestOf(file: DescribedFile): string | undefined {
  return file.kind === "file" ? file.sha256 : undefined;
}

function textOf(file: DescribedFile | undefined): string | undefined {
  if (file === undefined) return "";
  return file.kind === "file" ? file.text : undefined;
}

function patchOf(before: DescribedFile | undefined, after: DescribedFile | undefined): string {
  const [was, is] = [textOf(before), textOf(after)];
  return was === undefined || is === undefined ? "" : unifiedDiff(was, is);
}

function attributesBetween(before: DescribedFile, after: DescribedFile): string[] {
  const differences: string[] = [];
  const tell = (what: string, was: string, is: string) => {
    if (was !== is) differences.push(`${what} ${was} → ${is}`);
  };
  tell("kind", before.kind, after.kind);
  if (before.kind === "symlink" && after.kind === "symlink") tell("leads to", before.target, after.target);
  if (before.kind === "file" && after.kind === "file" && before.sha256 !== after.sha256) {
    const isShown = before.text !== undefined && after.text !== undefined;
    if (!isShown) differences.push(`contents ${formatBytes(before.size)} → ${formatBytes(after.size)}, not shown`);
  }
  if (before.kind === after.kind && before.kind !== "symlink") tell("mode", octal(before.mode), octal(after.mode));
  tell("owner", `${before.user}:${before.group}`, `${after.user}:${after.group}`);
  return differences;
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}
