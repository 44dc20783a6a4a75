import { failure, MesoError } from "../base/error.ts";
import type { IndexedSource } from "../debian/source-index.ts";
import type { Channel } from "../language/channel.ts";
import { recordProblems } from "../language/check.ts";
import { packageName } from "../language/package-reference.ts";
import { locationOf } from "../language/record.ts";
import { buildScript } from "./build-script.ts";
import { quoted } from "./build-system.ts";
import { type DerivationGraph, derivationGraph, type GraphNode, storeName } from "./derivation-graph.ts";
import { parseSha256 } from "./hash-text.ts";
import { type DebianArchive, lowerFetch, lowerRoot, lowerSeed, mirrorAddress } from "./lower-debian.ts";
import type { DebianOrigin, Origin } from "./origin.ts";
import { isSourcePackage, type PackageInput, packageGraph, type SourcePackage } from "./source-package.ts";

/** What lowering asks of the world, answered beforehand: it reads nothing itself. */
export interface LoweringFacts {
  /** `x86_64-linux` */
  readonly system: string;
  /** The closed set of Debian's binary packages for some names, in a channel. */
  readonly debianPackages: (channel: Channel, names: readonly string[]) => readonly DebianArchive[];
  readonly debianSource: (origin: DebianOrigin, built: Channel) => IndexedSource;
  /** The store path of a copy of a file or folder of this machine. */
  readonly localSource: (path: string) => string;
}

export interface LoweredPackages {
  readonly graph: DerivationGraph;
  readonly nodes: ReadonlyMap<SourcePackage, GraphNode>;
}

/**
 * The derivations of packages, with everything they need down to signed archives. The same records and facts give the
 * same derivations.
 *
 * @throws MesoError with every mistake of the records; `bad-hash`, `missing-hash`.
 */
export function lowerPackages(wanted: readonly SourcePackage[], facts: LoweringFacts): LoweredPackages {
  const all = packageGraph(wanted);
  const problems = wanted.flatMap((one) => recordProblems(one));
  if (problems.length > 0) throw new MesoError(problems);
  const graph = derivationGraph(facts.system);
  const nodes = new Map<SourcePackage, GraphNode>();
  for (const one of all) {
    try {
      nodes.set(
        one,
        lowerPackage(graph, one, facts, (input) => nodes.get(input)!),
      );
    } catch (error) {
      throw withPlace(error, one);
    }
  }
  return { graph, nodes };
}

/** The names of Debian packages that a package is built with, sorted. */
export function debianNames(pkg: SourcePackage): readonly string[] {
  const named = [...pkg.inputs, ...pkg.nativeInputs].flatMap((input) =>
    isSourcePackage(input) ? [] : [packageName(input)],
  );
  return [...new Set([...commonTools, ...pkg.buildSystem.tools, ...named])].sort();
}

/** The seed's package, which is looked for like any other. */
export const seedNames: readonly string[] = ["busybox-static"];

/** The origin of a package, for its version. */
export function originOf({ source, name, version }: SourcePackage): Origin | undefined {
  return typeof source === "function" ? source({ name, version }) : source;
}

const commonTools = [
  ...[
    "bash",
    "bzip2",
    "coreutils",
    "dash",
    "debianutils",
    "diffutils",
    "file",
    "findutils",
    "grep",
    "gzip",
    "hostname",
  ],
  ...["libc-bin", "mawk", "patch", "perl", "sed", "tar", "unzip", "xz-utils", "binutils", "procps"],
];

function lowerPackage(
  graph: DerivationGraph,
  pkg: SourcePackage,
  facts: LoweringFacts,
  nodeOf: (input: SourcePackage) => GraphNode,
): GraphNode {
  const seed = lowerSeed(graph, facts.debianPackages(pkg.channel, seedNames));
  const root = lowerRoot(graph, seed, facts.debianPackages(pkg.channel, debianNames(pkg)));
  const source = lowerSource(graph, pkg, facts);
  const outputsOf = (inputs: readonly PackageInput[]) =>
    inputs.filter(isSourcePackage).map((input) => {
      const outputs = input.outputs.filter((output) => output !== "debug" && output !== "doc");
      return { node: nodeOf(input), outputs };
    });
  const [inputs, nativeInputs] = [outputsOf(pkg.inputs), outputsOf(pkg.nativeInputs)];
  const pathsOf = (all: typeof inputs) => all.flatMap(({ node, outputs }) => outputs.map((output) => node.out(output)));
  const script = buildScript(pkg, {
    inputs: pathsOf(inputs),
    nativeInputs: pathsOf(nativeInputs),
    unpack: source.unpack,
  });
  return graph.add(storeName(`${pkg.name}-${pkg.version}`), {
    outputs: new Map(pkg.outputs.map((output) => [output, { path: "" }])),
    inputs: [{ node: root }, ...source.nodes.map((node) => ({ node })), ...inputs, ...nativeInputs],
    sources: source.paths,
    builder: "/bin/bash",
    arguments: ["-c", script],
    environment: { sandboxRoot: root.out(), version: pkg.version },
  });
}

interface LoweredSource {
  readonly nodes: readonly GraphNode[];
  readonly paths: readonly string[];
  /** Shell text that leaves the build in the source's folder. */
  readonly unpack: string;
}

function lowerSource(graph: DerivationGraph, pkg: SourcePackage, facts: LoweringFacts): LoweredSource {
  const origin = originOf(pkg);
  if (origin === undefined) return { nodes: [], paths: [], unpack: "mkdir /build/source\ncd /build/source" };
  if (origin.kind === "debian-source") return lowerDebianSource(graph, origin, facts.debianSource(origin, pkg.channel));
  if (origin.kind === "local") {
    const path = facts.localSource(origin.path);
    return { nodes: [], paths: [path], unpack: unpackOne(path, origin.path) };
  }
  const written = origin.sha256 ?? pkg.sha256;
  if (written === undefined) {
    throw failure("missing-hash", `the source of ${pkg.name} ${pkg.version} has no hash`, {
      field: "sha256",
      hint:
        origin.kind === "url"
          ? `meso download ${origin.urls[0]}`
          : "build it with any hash: the error tells the right one",
    });
  }
  const sha256 = parseSha256(written);
  if (origin.kind === "url") {
    const node = lowerFetch(graph, { name: origin.fileName, urls: origin.urls, sha256 });
    return { nodes: [node], paths: [], unpack: unpackOne(node.out(), origin.fileName) };
  }
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(origin.commit)) {
    throw failure("bad-commit", `found the commit ${JSON.stringify(origin.commit)}`, {
      expected: "its whole name: 40 or 64 hexadecimal digits",
    });
  }
  const node = graph.add(storeName(`${pkg.name}-${origin.commit.slice(0, 12)}-source`), {
    outputs: new Map([["out", { path: "", fixed: { recursive: true, algorithm: "sha256", digest: sha256 } }]]),
    builder: "builtin:fetch-git",
    environment: { url: origin.url, commit: origin.commit },
  });
  return { nodes: [node], paths: [], unpack: unpackOne(node.out(), origin.url) };
}

/** A folder is copied, an archive unpacked and its only folder entered, any other file copied under its name. */
function unpackOne(path: string, name: string): string {
  const file = name.slice(name.lastIndexOf("/") + 1);
  return `
mkdir /build/source
cd /build/source
if [ -d ${path} ]; then
  cp -rT --preserve=mode,links ${path} .
else
  case ${quoted(file)} in
    *.tar|*.tar.*|*.tgz|*.tbz2|*.txz) tar --no-same-owner -xf ${path} ;;
    *.zip) unzip -q ${path} ;;
    *) cp ${path} ${quoted(file)} ;;
  esac
  entries=(*)
  if [ "\${#entries[@]}" = 1 ] && [ -d "\${entries[0]}" ]; then cd "\${entries[0]}"; fi
fi
chmod -R u+w .`;
}

/** Debian's formats 1.0, 3.0 (native) and 3.0 (quilt), as dpkg-source(1) tells them. */
function lowerDebianSource(graph: DerivationGraph, { patched }: DebianOrigin, source: IndexedSource): LoweredSource {
  const isDebians = (name: string) => /\.debian\.tar\.[a-z0-9]+$|\.diff\.gz$/.test(name);
  const wanted = source.files.filter(({ name }) => !/\.(dsc|asc|sig)$/.test(name) && (patched || !isDebians(name)));
  const files = wanted.map((file) => ({
    name: file.name,
    node: lowerFetch(graph, { name: file.name, urls: [mirrorAddress(source.archive, file.path)], sha256: file.sha256 }),
  }));
  const pathOf = (pattern: RegExp) => files.find(({ name }) => pattern.test(name))?.node.out();
  const main = pathOf(/\.orig\.tar\.[a-z0-9]+$/) ?? pathOf(/\.tar\.[a-z0-9]+$/);
  if (main === undefined) throw failure("bad-index", `the source ${source.name} ${source.version} has no archive`);
  const packaging = pathOf(/\.debian\.tar\.[a-z0-9]+$/);
  const difference = pathOf(/\.diff\.gz$/);
  const components = files.flatMap(({ name, node }) => {
    const component = /\.orig-([A-Za-z0-9-]+)\.tar\.[a-z0-9]+$/.exec(name)?.[1];
    return component === undefined
      ? []
      : [
          `rm -rf ${component}\nmkdir ${component}\ntar --no-same-owner --strip-components=1 -C ${component} -xf ${node.out()}`,
        ];
  });
  const lines = [
    "mkdir /build/source\ncd /build/source",
    `tar --no-same-owner --strip-components=1 -xf ${main}`,
    ...components,
    ...(packaging === undefined ? [] : [`rm -rf debian\ntar --no-same-owner -xf ${packaging}`]),
    ...(difference === undefined ? [] : [`zcat ${difference} | patch -p1`]),
    "chmod -R u+w .",
    ...(patched ? [applySeries] : []),
  ];
  return { nodes: files.map(({ node }) => node), paths: [], unpack: lines.join("\n") };
}

const applySeries = `
if [ -f debian/patches/series ]; then
  while read -r name level _; do
    case "$name" in ""|"#"*) continue ;; esac
    printf 'patch %s\\n' "$name"
    case "\${level:-}" in -p*) ;; *) level=-p1 ;; esac
    patch --quiet --no-backup-if-mismatch "$level" < "debian/patches/$name"
  done < debian/patches/series
fi`;

function withPlace(error: unknown, pkg: SourcePackage): unknown {
  const where = locationOf(pkg);
  if (!(error instanceof MesoError) || where === undefined) return error;
  return new MesoError(
    error.problems.map((problem) => ({ where, ...problem, what: `${pkg.name}: ${problem.what}` })),
    { cause: error },
  );
}
