import { failure } from "../base/error.ts";

/** What a binary package was built from: the name that fixes and bugs are told by. */
export interface SourcePackage {
  readonly source: string;
  readonly sourceVersion: string;
}

/**
 * The source package of a binary one (Debian Policy 5.6.1): the field `Source` is left out when name and version are
 * the binary's own, and gives the version in parentheses when only that differs, as after a rebuild.
 *
 * @throws MesoError `bad-index` on a field that is neither.
 */
export function sourcePackage(name: string, version: string, field: string | undefined): SourcePackage {
  if (field === undefined) return { source: name, sourceVersion: version };
  const match = /^([A-Za-z0-9][A-Za-z0-9+.-]*)(?:\s+\(([^()\s]+)\))?\s*$/.exec(field);
  if (!match) {
    throw failure("bad-index", `the field Source of ${name} ${version} is ${JSON.stringify(field.slice(0, 80))}`, {
      expected: "the name of a source package, with its version in parentheses where that is another",
    });
  }
  return { source: match[1]!, sourceVersion: match[2] ?? version };
}
