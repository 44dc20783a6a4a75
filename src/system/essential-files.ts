import { extend } from "../language/service-type.ts";
import type { Content, GeneratedFile, PackageFile } from "../language/text.ts";
import type { FileWish } from "./essential-part.ts";
import { collector, systemRoot } from "./essential-part.ts";

/** Who may do what with a path; owner and group by name. */
export interface FileAttributes {
  readonly mode?: number;
  readonly user?: string;
  readonly group?: string;
  /** May take the place of a file that a package ships. */
  readonly replacesPackageFile?: boolean;
}

/** Files below /etc, made by `etcFile` (`directory` and `symlink` work too). Two services may not write one path. */
export const etcFiles = collector<FileWish>({
  name: "etc-files",
  description: "Files below /etc.",
  extensions: [extend(systemRoot, ({ items }) => ({ files: items }))],
});

/** Files, directories and links anywhere. Two services may not write one path. */
export const systemFiles = collector<FileWish>({
  name: "system-files",
  description: "Files, directories and symbolic links anywhere in the system.",
  extensions: [extend(systemRoot, ({ items }) => ({ files: items }))],
});

/**
 * A file below /etc: `etcFile("/etc/motd", "Hello\n")`. A `textFile()` is linked from its store path, unless a mode
 * or owner is asked for, which a link cannot carry: then its text is copied.
 */
export function etcFile(path: string, content: Content | GeneratedFile, attributes: FileAttributes = {}): FileWish {
  const isLink = typeof content !== "string" && content.kind === "generated-file" && !ownAttributes(attributes);
  return isLink ? symlink(path, content, attributes) : systemFile(path, content, attributes);
}

/** A regular file anywhere. */
export function systemFile(path: string, content: Content | GeneratedFile, attributes: FileAttributes = {}): FileWish {
  return { kind: "file", path, content, ...attributes };
}

/** A directory; those above it come by themselves. */
export function directory(path: string, attributes: FileAttributes = {}): FileWish {
  return { kind: "directory", path, ...attributes };
}

/** A symbolic link to a path (relative ones are kept so), a package's file or a generated file. */
export function symlink(
  path: string,
  target: string | PackageFile | GeneratedFile,
  { replacesPackageFile }: Pick<FileAttributes, "replacesPackageFile"> = {},
): FileWish {
  return { kind: "symlink", path, target, ...(replacesPackageFile !== undefined && { replacesPackageFile }) };
}

function ownAttributes({ mode, user, group }: FileAttributes): boolean {
  return mode !== undefined || user !== undefined || group !== undefined;
}
