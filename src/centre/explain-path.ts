import { posix } from "node:path";
import { failure } from "../base/error.ts";
import { nearestNames } from "../base/nearest.ts";
import { compareBytes } from "../base/order.ts";
import { shippedPaths } from "../build/composed-facts.ts";
import type { SegmentTable } from "../store/segment.ts";
import { madeBySteps } from "./explain-steps.ts";
import type { DescribedFile, DescribedOrigin, DescribedPackage, SystemDescription } from "./system-description.ts";

/** Where a path of a system comes from: each link on the way, then what it leads to. */
export interface PathExplanation {
  /** As asked for, normalised. */
  readonly path: string;
  /** Empty when the system has no such path; then `nearest` are those that may be meant. */
  readonly steps: readonly ExplainedPath[];
  readonly nearest: readonly string[];
  /** Why a path may be on the machine and not in its image. */
  readonly remark?: string;
}

export interface ExplainedPath {
  readonly path: string;
  readonly kind: "file" | "directory" | "symlink" | "hardlink";
  /** Of links. */
  readonly target?: string;
  readonly maker: PathMaker;
}

export type PathMaker =
  | {
      readonly kind: "package";
      readonly package: string;
      readonly version: string;
      readonly source: string;
      /** Why the package is there: from itself to what somebody asked for. */
      readonly because: readonly PackageReason[];
      /** Of a folder: how many other packages of the system ship it too. */
      readonly others: number;
      /** What a maintainer script would have done, or a choice of alternatives: in words. */
      readonly how?: string;
    }
  | { readonly kind: "service"; readonly origin: DescribedOrigin; readonly how?: string }
  /** A step of composing: `ldconfig`. */
  | {
      readonly kind: "step";
      readonly step: string;
      readonly how: string;
      readonly origins: readonly DescribedOrigin[];
    };

export interface PackageReason {
  readonly package: string;
  /** The relation that brought the one before it in the list; absent for the first. */
  readonly relation?: string;
  /** Of the last: who asked for it; empty when it is essential. */
  readonly origins?: readonly DescribedOrigin[];
}

/**
 * Says which package, or which service and line of the program, made a path of a system.
 *
 * @param tableOf tables of the packages of the root file system, by the archive's SHA-256.
 * @throws MesoError `wrong-path` for one that is not absolute.
 */
export function explainPath(
  system: SystemDescription,
  asked: string,
  tableOf: (sha256: string) => SegmentTable,
): PathExplanation {
  if (!asked.startsWith("/")) {
    throw failure("wrong-path", `found ${JSON.stringify(asked)}`, { expected: "an absolute path" });
  }
  const path = posix.resolve(asked);
  const paths = pathsOf(system, tableOf);
  const { steps, isThere } = walk(paths, path);
  if (!isThere) return { path, steps: [], nearest: nearestPaths(path, paths), ...remarkOn(path) };
  const files = new Map(system.files.map((file) => [walk(paths, file.path, true).end, file]));
  const explain = (at: string): ExplainedPath => {
    const { kind, target } = paths.get(at)!;
    return {
      path: at,
      kind,
      ...(target !== undefined && { target }),
      maker: makerOf(at, paths, files, system, tableOf),
    };
  };
  return { path, steps: steps.map(explain), nearest: [] };
}

interface KnownPath {
  readonly kind: ExplainedPath["kind"];
  readonly target?: string;
  readonly origin: string;
  /** Not as an archive has it. */
  readonly isMade: boolean;
}

function pathsOf(system: SystemDescription, tableOf: (sha256: string) => SegmentTable): Map<string, KnownPath> {
  const paths = new Map<string, KnownPath>();
  const installed = system.packages.filter(({ part }) => part === "root");
  for (const [path, shipped] of shippedPaths(installed, tableOf)) paths.set(path, { ...shipped, isMade: false });
  // Without what composing told, at least what the record says itself.
  const told = system.composed?.madePaths ?? system.files.map((file) => ({ ...file, origin: file.origin.by }));
  for (const { path, kind, origin, ...link } of told) {
    if (kind === "absent") paths.delete(path);
    else paths.set(path, { kind, origin, isMade: true, ...("target" in link && { target: link.target! }) });
  }
  return paths;
}

const maximumLinks = 40;

/**
 * The links on a way, and its end. `keepLast`: a link at the end is not followed. Without the root folder's own entry,
 * which no table needs to hold.
 */
function walk(
  paths: ReadonlyMap<string, KnownPath>,
  path: string,
  keepLast = false,
): { steps: readonly string[]; end: string; isThere: boolean } {
  const steps: string[] = [];
  let rest = path.split("/").filter((name) => name !== "");
  let done = "";
  while (rest.length > 0) {
    const [name, ...after] = rest as [string, ...string[]];
    const next = name === ".." ? posix.dirname(done || "/") : `${done}/${name}`;
    const entry = paths.get(next);
    if (entry?.kind === "symlink" && !(keepLast && after.length === 0) && steps.length < maximumLinks) {
      steps.push(next);
      const target = posix.resolve(posix.dirname(next), entry.target!);
      rest = [...target.split("/").filter((part) => part !== ""), ...after];
      done = "";
      continue;
    }
    done = next === "/" ? "" : next;
    rest = after;
  }
  const end = done === "" ? "/" : done;
  const isThere = paths.has(end);
  // A link that leads out of the image is there all the same: /etc/resolv.conf leads into /run.
  return { steps: isThere ? [...steps, end] : steps, end, isThere: isThere || steps.includes(path) };
}

function makerOf(
  path: string,
  paths: ReadonlyMap<string, KnownPath>,
  files: ReadonlyMap<string, DescribedFile>,
  system: SystemDescription,
  tableOf: (sha256: string) => SegmentTable,
): PathMaker {
  const { origin, isMade, kind } = paths.get(path)!;
  const file = files.get(path);
  if (file && isMade) return { kind: "service", origin: file.origin };
  const user = system.users.find(({ home, createHome }) => createHome && isBelow(path, home));
  if (isMade && user?.origin.by === origin) {
    const how = path === user.home ? `home of ${user.name}` : `copy of /etc/skel for ${user.name}`;
    return { kind: "service", origin: user.origin, how };
  }
  const step = isMade ? madeBySteps(path, paths.get(path)!, system) : undefined;
  if (step?.kind === "step") return step;
  const owner = system.packages.find(({ name, part }) => name === origin && part === "root");
  // A folder that leads to a generated file, and that nobody else has.
  if (owner === undefined || (isMade && isServicesFolder(path, kind, files))) return serviceOf(origin, path, files);
  return {
    kind: "package",
    package: owner.name,
    version: owner.version,
    source: owner.source,
    because: reasonsFor(owner, system),
    others: kind === "directory" ? shippersOf(path, system, tableOf) - (isMade ? 0 : 1) : 0,
    ...(isMade && { how: step?.how ?? "as its maintainer script would have left it" }),
  };
}

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

function isServicesFolder(path: string, kind: string, files: ReadonlyMap<string, DescribedFile>): boolean {
  return kind === "directory" && [...files.keys()].some((file) => file.startsWith(`${path}/`));
}

function serviceOf(by: string, folder: string, files: ReadonlyMap<string, DescribedFile>): PathMaker {
  for (const [path, { origin }] of files) {
    if (path.startsWith(`${folder}/`) && origin.by === by) return { kind: "service", origin, how: `leads to ${path}` };
  }
  return { kind: "service", origin: { by } };
}

function shippersOf(path: string, system: SystemDescription, tableOf: (sha256: string) => SegmentTable): number {
  const plain = path.replace(/^\/usr(?=\/(bin|sbin|lib)(\/|$))/, "");
  const ships = ({ entries }: SegmentTable) => entries.some((entry) => entry.path === path || entry.path === plain);
  return system.packages.filter(({ part, sha256 }) => part === "root" && ships(tableOf(sha256))).length;
}

function reasonsFor(debian: DescribedPackage, system: SystemDescription): PackageReason[] {
  const byName = new Map(system.packages.filter(({ part }) => part === "root").map((one) => [one.name, one]));
  const reasons: PackageReason[] = [];
  let relation: string | undefined;
  for (let one: DescribedPackage | undefined = debian; one !== undefined; ) {
    const { name, reason } = one;
    const link: PackageReason = { package: name, ...(relation !== undefined && { relation }) };
    const wish = system.wishes.find((candidate) => candidate.name === name);
    const isCircle = reasons.some((before) => before.package === name);
    if (wish || typeof reason === "string" || isCircle) return [...reasons, { ...link, origins: wish?.origins ?? [] }];
    reasons.push(link);
    relation = reason.relation;
    one = byName.get(reason.dependencyOf);
  }
  return reasons;
}

function nearestPaths(path: string, paths: ReadonlyMap<string, KnownPath>): string[] {
  const name = posix.basename(path);
  // Where people look in the wrong folder, and where they mistype.
  const sameName = [...paths.keys()].filter((other) => other.endsWith(`/${name}`)).sort(compareBytes);
  return [...new Set([...sameName.slice(0, 3), ...nearestNames(path, paths.keys())])].slice(0, 5);
}

function remarkOn(path: string): { remark?: string } {
  if (/^\/(run|proc|sys|dev|tmp)(\/|$)/.test(path)) {
    return { remark: "what lies there is made while the machine runs, and is in no image" };
  }
  if (/^\/(var|home|root|srv)\//.test(path)) {
    return { remark: "programs may have made it since the machine started, or it lies on a volume" };
  }
  return {};
}
