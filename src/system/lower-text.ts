import { sortedBy } from "../base/order.ts";
import type { Content, GeneratedFile, Text } from "../language/text.ts";
import { asTextValue } from "../language/text.ts";
import { textPath } from "../store/store-path.ts";

/** A text written out, and what it makes part of the system. */
export interface LoweredText {
  readonly text: string;
  /** Debian packages whose files it names, sorted. */
  readonly packages: readonly string[];
  /** Generated files that it names, itself or through others, by store path. */
  readonly files: ReadonlyMap<string, LoweredFile>;
}

export interface LoweredFile {
  readonly path: string;
  readonly text: string;
  readonly executable: boolean;
}

/** The text with its references written as paths. */
export function lowerText(content: Content): LoweredText {
  const { parts } = asTextValue(content);
  const packages = new Set<string>();
  const files = new Map<string, LoweredFile>();
  const written = parts.map((part) => {
    if (typeof part === "string") return part;
    if (part.kind === "package-file") {
      packages.add(part.package);
      return part.path;
    }
    const generated = lowerGeneratedFile(part);
    for (const name of generated.packages) packages.add(name);
    for (const file of generated.files.values()) addFile(files, file);
    return generated.path;
  });
  return { text: written.join(""), packages: sortedBy(packages, (name) => name), files };
}

/** Adds a file, which stays executable when another of the same path and contents is. */
export function addFile(files: Map<string, LoweredFile>, file: LoweredFile): void {
  if (file.executable || !files.has(file.path)) files.set(file.path, file);
}

/** A generated file's store path, with the file itself and all that it names. */
export function lowerGeneratedFile(file: GeneratedFile): LoweredText & { readonly path: string } {
  const known = lowered.get(file);
  if (known) return known;
  const { text, packages, files } = lowerText(file.text);
  const path = textPath(file.name, text, directReferences(file.text));
  const all = new Map(files);
  addFile(all, { path, text, executable: file.executable });
  const result = { path, text, packages, files: all };
  lowered.set(file, result);
  return result;
}

// Machines of one centre share most of their files; a record never changes.
const lowered = new WeakMap<GeneratedFile, LoweredText & { readonly path: string }>();

function directReferences(text: Text): string[] {
  const paths = text.parts.flatMap((part) =>
    typeof part !== "string" && part.kind === "generated-file" ? [lowerGeneratedFile(part).path] : [],
  );
  return [...new Set(paths)];
}
