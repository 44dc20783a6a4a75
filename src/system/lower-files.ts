import type { Problem } from "../base/error.ts";
import { sortedBy } from "../base/order.ts";
import { isNormalAbsolutePath } from "../language/file-system.ts";
import type { Origin, Received } from "../language/service-type.ts";
import type { FileWish } from "./essential-part.ts";
import type { LoweredFile, LoweredText } from "./lower-text.ts";
import { addFile, lowerGeneratedFile, lowerText } from "./lower-text.ts";
import type { ManifestFile } from "./manifest.ts";

export interface LoweredFiles {
  /** Sorted by path, those of the store among them. */
  readonly files: readonly ManifestFile[];
  /** Packages that the files' texts name. */
  readonly packages: readonly Received<string>[];
  readonly problems: readonly Problem[];
}

/** Wished files with their texts written out, and the generated files that these, or the texts of `named`, name. */
export function lowerFiles(
  wishes: readonly Received<FileWish>[],
  named: readonly Received<LoweredText>[] = [],
): LoweredFiles {
  const problems: Problem[] = [];
  const packages: Received<string>[] = [];
  const generated = new Map<string, LoweredFile>();
  const generatedFor = new Map<string, Origin>();
  const byPath = new Map<string, ManifestFile>();
  for (const { value, origin } of wishes) {
    problems.push(...attributeProblems(value, origin));
    const { file, names, files } = lowerWish(value, origin);
    packages.push(...names.map((name) => ({ value: name, origin })));
    for (const item of files) {
      addFile(generated, item);
      if (!generatedFor.has(item.path)) generatedFor.set(item.path, origin);
    }
    const earlier = byPath.get(file.path);
    if (!earlier) byPath.set(file.path, file);
    else if (!isSameDirectory(earlier, file)) problems.push(twoWriters(earlier, file));
  }
  for (const { value, origin } of named) {
    packages.push(...value.packages.map((name) => ({ value: name, origin })));
    for (const item of value.files.values()) {
      addFile(generated, item);
      if (!generatedFor.has(item.path)) generatedFor.set(item.path, origin);
    }
  }
  for (const item of generated.values()) byPath.set(item.path, storeFile(item, generatedFor.get(item.path)!));
  const files = sortedBy(byPath.values(), (file) => file.path);
  return { files, packages, problems: [...problems, ...files.flatMap((file) => parentProblems(file, byPath))] };
}

function lowerWish(
  wish: FileWish,
  origin: Origin,
): { file: ManifestFile; names: readonly string[]; files: Iterable<LoweredFile> } {
  const base = {
    path: wish.path,
    user: wish.user ?? "root",
    group: wish.group ?? "root",
    origin,
    ...(wish.replacesPackageFile && { replacesPackageFile: true }),
  };
  if (wish.kind === "directory") {
    return { file: { ...base, kind: "directory", mode: wish.mode ?? 0o755 }, names: [], files: [] };
  }
  if (wish.kind === "symlink") {
    const { target, names, files } = lowerTarget(wish.target);
    return { file: { ...base, kind: "symlink", target, mode: 0o777 }, names, files };
  }
  const { content } = wish;
  const { text, packages, files } = lowerText(
    typeof content !== "string" && content.kind === "generated-file" ? content.text : content,
  );
  return {
    file: { ...base, kind: "file", mode: wish.mode ?? 0o644, text },
    names: packages,
    files: files.values(),
  };
}

function lowerTarget(target: Extract<FileWish, { kind: "symlink" }>["target"]): {
  target: string;
  names: readonly string[];
  files: Iterable<LoweredFile>;
} {
  if (typeof target === "string") return { target, names: [], files: [] };
  if (target.kind === "package-file") return { target: target.path, names: [target.package], files: [] };
  const { path, packages, files } = lowerGeneratedFile(target);
  return { target: path, names: packages, files: files.values() };
}

function storeFile({ path, text, executable }: LoweredFile, origin: Origin): ManifestFile {
  return { kind: "file", path, text, mode: executable ? 0o555 : 0o444, user: "root", group: "root", origin };
}

function isSameDirectory(a: ManifestFile, b: ManifestFile): boolean {
  return (
    a.kind === "directory" && b.kind === "directory" && a.mode === b.mode && a.user === b.user && a.group === b.group
  );
}

function twoWriters(first: ManifestFile, second: ManifestFile): Problem {
  return {
    code: "two-writers",
    what: `${first.path} is written by ${first.origin.by} and by ${second.origin.by}`,
    ...places(first.origin, second.origin),
    hint: "take one of them away, or let one service write the whole file",
  };
}

function attributeProblems({ kind, path, mode }: FileWish, origin: Origin): Problem[] {
  const where = origin.where && { where: origin.where };
  const problems: Problem[] = [];
  if (typeof path !== "string" || !isNormalAbsolutePath(path) || path === "/") {
    const what = `${origin.by} writes the path ${JSON.stringify(path)}`;
    problems.push({ code: "wrong-path", what, ...where, expected: "an absolute path without trailing slash, . or .." });
  }
  if (mode !== undefined && (kind === "symlink" || !Number.isInteger(mode) || mode < 0 || mode > 0o7777)) {
    const what = `${origin.by} gives ${path} the mode ${mode}`;
    problems.push({ code: "wrong-mode", what, ...where, expected: "permission bits such as 0o644" });
  }
  return problems;
}

/** A path below something that is not a directory. */
function parentProblems(file: ManifestFile, byPath: ReadonlyMap<string, ManifestFile>): Problem[] {
  for (let end = file.path.lastIndexOf("/"); end > 0; end = file.path.lastIndexOf("/", end - 1)) {
    const parent = byPath.get(file.path.slice(0, end));
    if (!parent || parent.kind === "directory") continue;
    const what = `${file.path} of ${file.origin.by} lies below ${parent.path}, a ${parent.kind} of ${parent.origin.by}`;
    return [{ code: "not-a-directory", what, ...places(file.origin, parent.origin) }];
  }
  return [];
}

function places(first: Origin, second: Origin): Pick<Problem, "where" | "also"> {
  return { ...(first.where && { where: first.where }), ...(second.where && { also: second.where }) };
}
