import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

/** What an archive says of one of its paths, in the words of GNU tar: nothing here is read by our own reader. */
export interface Shipped {
  readonly package: string;
  /** `d`, `l` or `-`. */
  readonly kind: string;
  /** In octal; empty for links. */
  readonly mode: string;
  /** `uid/gid` */
  readonly owner: string;
  /** Since 1970. */
  readonly seconds: number;
  /** Where a symbolic link leads; empty for others. */
  readonly target: string;
  /** Names that a file has within its archive. */
  readonly links: number;
}

export interface Archive {
  readonly name: string;
  readonly file: string;
}

/** Every path with what each archive that ships it says. */
export function shippedPaths(archives: readonly Archive[]): Map<string, Shipped[]> {
  const all = new Map<string, Shipped[]>();
  for (const archive of archives) {
    for (const [path, shipped] of listing(archive)) all.set(path, [...(all.get(path) ?? []), shipped]);
  }
  return all;
}

/** Contents of all archives in one folder, on merged /usr. */
export function unpackArchives(archives: readonly Archive[], folder: string): void {
  for (const name of ["bin", "sbin", "lib", "lib64"]) mkdirSync(join(folder, "usr", name), { recursive: true });
  for (const { file } of archives) {
    // Folders that a link stands for are kept as links.
    pipe(file, `tar -x -C "${folder}" --keep-directory-symlink --no-same-owner --exclude ./dev`);
  }
}

const line = /^(.)(\S{9})\S* (\d+\/\d+) +\d+ (\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.\d+)? \.?(\/.*?)\/?$/;

function listing({ name, file }: Archive): Map<string, Shipped> {
  const found = new Map<string, Shipped>();
  const otherNames: [string, string][] = [];
  const text = pipe(file, "TZ=UTC LC_ALL=C.UTF-8 tar -t -v --numeric-owner --full-time --quoting-style=literal");
  for (const row of text.split("\n").filter(Boolean)) {
    const [, kind, permissions, owner, day, time, rest] = line.exec(row) ?? [];
    if (rest === undefined) throw new Error(`tar says: ${row}`);
    const [path = "", target = ""] = rest.split(kind === "h" ? " link to " : kind === "l" ? " -> " : "\n");
    if (path === "/" || path === "") continue;
    const mode = kind === "l" ? "" : octal(permissions!);
    const seconds = Date.parse(`${day}T${time}Z`) / 1000;
    if (kind === "h") otherNames.push([path, target.replace(/^\.?\//, "/")]);
    else found.set(path, { package: name, kind: kind!, mode, owner: owner!, seconds, target, links: 1 });
  }
  for (const [path, first] of otherNames) {
    found.set(first, { ...found.get(first)!, links: found.get(first)!.links + 1 });
    found.set(path, { ...found.get(first)!, target: `=${first}` });
  }
  // Each name of a file tells the final count.
  return new Map(
    [...found].map(([path, one]) =>
      one.target.startsWith("=") ? [path, { ...found.get(one.target.slice(1))!, target: "" }] : [path, one],
    ),
  );
}

/** `rwsr-xr-t` as a number: an `s` or `t` says two things. */
function octal(permissions: string): string {
  const low = [...permissions].reduce((sum, letter) => sum * 2 + ("-ST".includes(letter) ? 0 : 1), 0);
  const special = (/^..s|^..S/.test(permissions) ? 4 : 0) + (/^.{5}[sS]/.test(permissions) ? 2 : 0);
  return ((special + (/[tT]$/.test(permissions) ? 1 : 0)) * 0o1000 + low).toString(8);
}

function pipe(file: string, command: string): string {
  const script = `set -e; dpkg-deb --fsys-tarfile "$1" | ${command} -f -`;
  return execFileSync("sh", ["-c", script, "sh", file], { encoding: "utf8", maxBuffer: 1 << 28 });
}
