import { canonicalJson } from "../base/canonical.ts";
import { failure } from "../base/error.ts";
import type { Layout } from "./builtins/union.ts";
import { type DerivationGraph, type GraphNode, storeName } from "./derivation-graph.ts";

/** A Debian archive as a signed index tells it. */
export interface DebianArchive {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
  readonly archive: "main" | "security";
  /** Below the root of the archive. */
  readonly filename: string;
}

/** A file of which the hash is known, by its addresses. */
export function lowerFetch(
  graph: DerivationGraph,
  { name, urls, sha256 }: { readonly name: string; readonly urls: readonly string[]; readonly sha256: string },
): GraphNode {
  return graph.add(storeName(name), {
    outputs: new Map([["out", { path: "", fixed: { recursive: false, algorithm: "sha256", digest: sha256 } }]]),
    builder: "builtin:fetch-url",
    environment: { urls: urls.join("\n") },
  });
}

export function mirrorAddress(archive: "main" | "security", path: string): string {
  return `mirror://${archive === "main" ? "debian" : "security"}/${path}`;
}

/** The one program that is taken as it is, out of Debian's archive: a static busybox. */
export function lowerSeed(graph: DerivationGraph, archives: readonly DebianArchive[]): GraphNode {
  const archive = archives.find(({ name }) => name === "busybox-static");
  if (!archive) throw failure("no-seed", "the channel has no busybox-static");
  const fetched = lowerArchive(graph, archive);
  return graph.add("busybox", {
    inputs: [{ node: fetched }],
    builder: "builtin:debian-file",
    environment: {
      archive: fetched.out(),
      sha256: archive.sha256,
      files: "/usr/bin/busybox\n/bin/busybox",
      // Called by any name that does not start so, it takes that name for what it is to do.
      as: "bin/busybox",
    },
  });
}

/** Debian archives, unpacked unchanged by the seed and put together as the root of a sandbox. */
export function lowerRoot(graph: DerivationGraph, seed: GraphNode, archives: readonly DebianArchive[]): GraphNode {
  const trees = archives.map((archive) => lowerTree(graph, seed, archive));
  return graph.add("build-root", {
    inputs: trees.map((node) => ({ node })),
    builder: "builtin:union",
    environment: { trees: trees.map((node) => node.out()).join("\n"), layout: canonicalJson(rootLayout) },
  });
}

function lowerArchive(graph: DerivationGraph, { archive, filename, sha256 }: DebianArchive): GraphNode {
  const name = filename.slice(filename.lastIndexOf("/") + 1);
  return lowerFetch(graph, { name, urls: [mirrorAddress(archive, filename)], sha256 });
}

function lowerTree(graph: DerivationGraph, seed: GraphNode, archive: DebianArchive): GraphNode {
  const fetched = lowerArchive(graph, archive);
  return graph.add(storeName(`${archive.name}-${archive.version}`), {
    inputs: [{ node: seed }, { node: fetched }],
    builder: `${seed.out()}/bin/busybox`,
    arguments: ["sh", "-e", "-c", unpackScript],
    environment: { busybox: `${seed.out()}/bin/busybox`, archive: fetched.out() },
  });
}

/**
 * No maintainer script runs. Every archive is laid out on merged /usr; bits that would lend rights are taken away, since
 * nobody has any to lend in a sandbox.
 */
const unpackScript = `
b() { "$busybox" "$@"; }
b mkdir "$out"
cd "$out"
for folder in bin sbin lib lib64; do
  b mkdir -p "usr/$folder"
  b ln -s "usr/$folder" "$folder"
done
member=$(b ar t "$archive" | b grep '^data\\.tar' | b head -n 1)
case "$member" in
  *.xz) filter=unxz ;;
  *.gz) filter=gunzip ;;
  *.bz2) filter=bunzip2 ;;
  *) filter=cat ;;
esac
b ar p "$archive" "$member" | b "$filter" > /build/data.tar
b tar -x -f /build/data.tar
b find . -type f -perm /6000 -exec "$busybox" chmod ug-s {} +
b find . -type d -exec "$busybox" chmod 755 {} +
b rmdir usr/lib64 2> /dev/null || true
if ! b test -d usr/lib64; then b rm lib64; fi
`;

/** What maintainer scripts and administrators would have added, as far as builds ask for it. */
const rootLayout: Layout = {
  links: {
    "usr/bin/aclocal": ["aclocal-1.17", "aclocal-1.16"],
    "usr/bin/automake": ["automake-1.17", "automake-1.16"],
    "usr/bin/awk": ["mawk"],
    "usr/bin/c++": ["g++"],
    "usr/bin/c89": ["gcc"],
    "usr/bin/c99": ["gcc"],
    "usr/bin/cc": ["gcc"],
    "usr/bin/sh": ["dash"],
    "usr/bin/which": ["which.debianutils"],
    "usr/bin/yacc": ["bison.yacc"],
  },
  files: {
    "etc/group": "root:x:0:\nbuild:x:1000:\nnogroup:x:65534:\n",
    "etc/hosts": "127.0.0.1 localhost build\n::1 localhost\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "etc/passwd":
      "root:x:0:0:root:/:/bin/sh\nbuild:x:1000:1000:build:/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
  },
};
