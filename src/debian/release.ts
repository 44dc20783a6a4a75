import { failure } from "../base/error.ts";

/** What a `Release` file of an archive says (Debian repository format, "Release" files). */
export interface Release {
  readonly suite: string;
  readonly codename: string;
  /** When it was made. */
  readonly date: Date;
  readonly validUntil?: Date;
  readonly components: readonly string[];
  readonly architectures: readonly string[];
  readonly acquireByHash: boolean;
  /** Packages for all architectures are repeated in each architecture's own index. */
  readonly allInEachIndex: boolean;
  /** By path relative to the folder of the suite. */
  readonly files: ReadonlyMap<string, ReleaseFile>;
}

export interface ReleaseFile {
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

/**
 * Reads the text of a `Release` file, already verified.
 * @throws MesoError `malformed-release`, naming the field or line.
 */
export function parseRelease(text: string): Release {
  const fields = readFields(text);
  const words = (name: string) => (fields.get(name) ?? "").split(/\s+/).filter((word) => word !== "");
  const validUntil = fields.get("Valid-Until");
  const suite = fields.get("Suite") ?? fields.get("Codename");
  if (!suite) throw malformed("names neither Suite nor Codename");
  return {
    suite,
    codename: fields.get("Codename") ?? suite,
    date: parseDate(fields.get("Date"), "Date"),
    ...(validUntil !== undefined && { validUntil: parseDate(validUntil, "Valid-Until") }),
    components: words("Components").map((component) => component.replace(/^updates\//, "")),
    architectures: words("Architectures"),
    acquireByHash: fields.get("Acquire-By-Hash") === "yes",
    allInEachIndex: words("No-Support-for-Architecture-all").includes("Packages"),
    files: parseFiles(fields.get("SHA256")),
  };
}

/**
 * Whether a path from foreign text is plain and relative, so that it may become part of an address or of
 * a file name: no empty, hidden or climbing segment, and only characters that archives use.
 */
export function isPlainPath(path: string): boolean {
  return (
    path.length <= 1024 &&
    /^[A-Za-z0-9_+~:%=@,-][A-Za-z0-9._+~:%=@,-]*(\/[A-Za-z0-9_+~:%=@,-][A-Za-z0-9._+~:%=@,-]*)*$/.test(path)
  );
}

function readFields(text: string): Map<string, string> {
  const fields = new Map<string, string[]>();
  let values: string[] | undefined;
  const lines = text.split("\n");
  while (lines.at(-1) === "") lines.pop();
  for (const line of lines) {
    const field = /^([A-Za-z0-9][A-Za-z0-9-]*):(.*)$/.exec(line);
    if (field) {
      if (fields.has(field[1]!)) throw malformed(`says ${field[1]} twice`);
      values = [field[2]!.trim()];
      fields.set(field[1]!, values);
    } else if (values && /^[ \t]+\S/.test(line)) {
      values.push(line.trim());
    } else {
      throw malformed(`has a line that is neither a field nor its continuation: "${line.slice(0, 60)}"`);
    }
  }
  return new Map([...fields].map(([name, parts]) => [name, parts.join("\n").replace(/^\n/, "")]));
}

function parseFiles(section: string | undefined): Map<string, ReleaseFile> {
  if (section === undefined) throw malformed("has no SHA256 section");
  const files = new Map<string, ReleaseFile>();
  for (const line of section.split("\n")) {
    if (line === "") continue;
    const match = /^([0-9a-f]{64})\s+([0-9]{1,15})\s+(\S+)$/.exec(line);
    if (!match) throw malformed(`has a line in SHA256 that is not hash, size and path: "${line.slice(0, 100)}"`);
    const [, sha256, size, path] = match as unknown as [string, string, string, string];
    if (!isPlainPath(path)) throw malformed(`lists a path that climbs out or is not plain: "${path.slice(0, 100)}"`);
    const before = files.get(path);
    if (before && before.sha256 !== sha256) throw malformed(`lists ${path} twice with different contents`);
    files.set(path, { sha256, size: Number(size) });
  }
  return files;
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `Sat, 12 Sep 2026 07:55:41 UTC`: read strictly, since what `Date.parse` accepts depends on the engine. */
function parseDate(value: string | undefined, field: string): Date {
  const match =
    /^(?:[A-Z][a-z]{2}, )? ?(\d{1,2}) ([A-Z][a-z]{2}) (\d{4}) (\d{1,2}):(\d\d):(\d\d) (?:UTC|GMT|Z|\+0000)$/.exec(
      value ?? "",
    );
  const month = months.indexOf(match?.[2] ?? "");
  if (!match || month < 0) throw malformed(`has no ${field} of the form "Sat, 12 Sep 2026 07:55:41 UTC"`);
  const [day, year, hour, minute, second] = [1, 3, 4, 5, 6].map((i) => Number(match[i]));
  return new Date(Date.UTC(year!, month, day!, hour!, minute!, second!));
}

function malformed(what: string) {
  return failure("malformed-release", `the archive's Release file ${what}`, {
    hint: "the mirror serves a damaged or foreign archive: try another one through MESO_DEBIAN_MIRROR",
  });
}
