import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { MesoError, type Problem } from "../base/error.ts";
import { hashOf } from "../base/hash.ts";
import { nearestHint } from "../base/nearest.ts";
import { compareBytes, sortedBy } from "../base/order.ts";
import type { OperatingSystem } from "../language/operating-system.ts";
import { fieldLocation, locationOf } from "../language/record.ts";
import { packageBuiltins } from "../packages/builtins/index.ts";
import type { SourcePackage } from "../packages/source-package.ts";
import { configuredCaches } from "../store/cache-settings.ts";
import { type Items, openItems } from "../store/items.ts";
import { realise } from "../store/realise.ts";
import type { SegmentTable } from "../store/segment.ts";
import type { Store } from "../store/store.ts";
import { nameOfPath } from "../store/store-path.ts";
import { type NewSegmentEntry, writeSegment } from "../store/write-segment.ts";
import type { ResolvedSource } from "../system/manifest-hash.ts";
import type { ComposedSource } from "../system/place-sources.ts";
import { hostArchitecture } from "./host-architecture.ts";
import { preparePackages } from "./package-graph.ts";
import { type BuildSession, stage } from "./session.ts";
import { toldSubstituter } from "./told-substituter.ts";

/**
 * Gives the derivations of systems' packages from source, written into the store; of each package once.
 *
 * @throws MesoError `replaces-nothing` for one that takes the place of packages that the system has not,
 *   `foreign-source` for a system of another architecture than this host's, beside what `preparePackages` throws.
 */
export function sourceResolver(
  session: BuildSession,
): (os: OperatingSystem, installed: readonly string[]) => Promise<readonly ResolvedSource[]> {
  const known = new Map<SourcePackage, Promise<ResolvedSource>>();
  const resolve = async (one: SourcePackage): Promise<ResolvedSource> => {
    const { nodes } = await preparePackages(session, [one]);
    const { path, derivation } = nodes.get(one)!;
    const output = derivation.outputs.get("out") ?? [...derivation.outputs.values()][0]!;
    const { name, version, replaces } = one;
    return { name, version, derivation: path, output: output.path, replaces: [...replaces] };
  };
  const resolveOnce = (one: SourcePackage): Promise<ResolvedSource> => {
    const resolved = known.get(one) ?? resolve(one);
    known.set(one, resolved);
    return resolved;
  };
  return async (os, installed) => {
    const wanted = os.sourcePackages as readonly SourcePackage[];
    const problems = [...foreign(os), ...wanted.flatMap((one) => replacesNothing(os, one, installed))];
    if (problems.length > 0) throw new MesoError(problems);
    return sortedBy(await Promise.all(wanted.map(resolveOnce)), ({ name, version }) => `${name} ${version}`);
  };
}

function foreign(os: OperatingSystem): readonly Problem[] {
  if (os.architecture === hostArchitecture()) return [];
  const where = fieldLocation(os, "sourcePackages");
  return [
    {
      code: "foreign-source",
      what: `packages are built from source for ${hostArchitecture()} here, and the system is of ${os.architecture}`,
      field: "sourcePackages",
      ...(where && { where }),
      hint: `build it on a host of ${os.architecture}`,
    },
  ];
}

function replacesNothing(os: OperatingSystem, one: SourcePackage, installed: readonly string[]): readonly Problem[] {
  if (one.replaces.length === 0 || one.replaces.some((name) => installed.includes(name))) return [];
  const where = fieldLocation(os, "sourcePackages") ?? locationOf(one);
  return [
    {
      code: "replaces-nothing",
      what: `${one.name} takes the place of ${one.replaces.join(", ")}, none of which is in the system`,
      field: "sourcePackages",
      ...(where && { where }),
      expected: "one of them among the packages, or what needs it",
      ...nearestHint(one.replaces[0]!, installed),
    },
  ];
}

/**
 * Fetches from the store's caches or builds what is missing, and keeps each item that the packages refer to as a segment,
 * as images are made of those.
 */
export async function buildSources(
  session: BuildSession,
  sources: readonly ResolvedSource[],
): Promise<readonly ComposedSource[]> {
  const { store, signal } = session;
  const items = openItems(store);
  const derivations = sources.map(({ derivation }) => derivation);
  await stage(session, "build", () =>
    realise(store, items, derivations, {
      parallel: availableParallelism(),
      builtins: packageBuiltins,
      signal,
      substitute: toldSubstituter(session, items, configuredCaches(store)).substitute,
      onWait: (text) => session.report({ stage: "wait", text }),
      onBuild: (path) => session.report({ stage: "build", text: nameOfPath(path) }),
    }),
  );
  return Promise.all(
    sources.map(async ({ name, version, output, replaces }) => ({
      ...{ name, version, replaces, root: output },
      items: await Promise.all(
        neededBy(items, output).map(async (path) => ({ path, segment: await itemSegment(store, items, path) })),
      ),
    })),
  );
}

/** The item and all that it refers to, sorted. */
function neededBy(items: Items, path: string): readonly string[] {
  const found = new Set<string>();
  const queue = [path];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    if (found.has(next)) continue;
    found.add(next);
    queue.push(...(items.record(next)?.references ?? []));
  }
  return [...found].sort(compareBytes);
}

async function itemSegment(store: Store, items: Items, path: string): Promise<SegmentTable> {
  const id = hashOf({ version: 1, item: path, nar: items.record(path)!.narSha256 });
  return store.findSegment(id) ?? writeSegment(store, id, entriesOf(items.physicalPath(path)));
}

/** Items are canonical: one time for all, two modes of files. */
function entriesOf(root: string): readonly NewSegmentEntry[] {
  const attributes = { uid: 0, gid: 0, mtime: 1 };
  const visit = (path: string): readonly NewSegmentEntry[] => {
    const place = join(root, path);
    const about = lstatSync(place);
    if (about.isSymbolicLink()) {
      return [{ kind: "symlink", path, mode: 0o777, ...attributes, target: readlinkSync(place) }];
    }
    const mode = about.mode & 0o111 ? 0o555 : 0o444;
    if (about.isFile()) return [{ kind: "file", path, mode, ...attributes, bytes: readFileSync(place) }];
    const names = readdirSync(place).sort(compareBytes);
    return [
      { kind: "directory", path, mode: 0o555, ...attributes },
      ...names.flatMap((name) => visit(path === "/" ? `/${name}` : `${path}/${name}`)),
    ];
  };
  return visit("/");
}
