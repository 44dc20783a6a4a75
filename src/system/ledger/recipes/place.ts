import type { Recipe } from "../recipe.ts";

/** Where a machine is: time zone, languages, manuals. */
export const placeRecipes: readonly Recipe[] = [
  {
    package: "tzdata",
    residues: [
      "0959902db2721798782d66df0a9cddfed07ffe5abc147d6e32c5f49f48e575c3",
      "c5d19f5f3986879e3a4c7ed7baa84debce5feeb5b7073b634e2e1634cb0d90f5",
    ],
    why: "sets /etc/localtime and /etc/timezone from debconf; the operating system record says them",
  },
  {
    package: "locales",
    residues: [
      "5003b10d39b0adaa5be008e0bafb742361bae9841b03d7d3f62c5fb8b6264541",
      "51d2b730d5251b93c6056e63ff4e9b2e1af94a043e7fee66ef4567e6f8f90a46",
    ],
    why: "generates locales chosen in debconf, none by default; C.UTF-8 is part of libc-bin",
  },
  {
    package: "man-db",
    residues: ["d94168c2e382db5c52614c12921513032b94be7c749934e9bac43600bbcc4aba"],
    why: "sets the owner of man, root by default, and keeps its index fresh",
    gives: { files: [{ path: "/var/lib/man-db/auto-update", text: "", mode: 0o644 }] },
  },
  {
    package: "ca-certificates",
    residues: ["1918af17d7d9e0e8839481468c156fdc34f8bfbc5dc4a9a11eb9d0ce4992f2c9"],
    why: "collects the certificate authorities; the hook ca-certificates does the same",
    gives: { directories: [{ path: "/usr/local/share/ca-certificates", mode: 0o755 }] },
  },
  {
    package: "xz-utils",
    residues: ["f62d690b5c8da5a7b16145fc10eed8c13a8d2842a2ff083b3745ac6cdf0e9e81"],
    why: "the alternatives by which xz stands for lzma, spelled by a function",
    gives: {
      alternatives: [{ link: "/usr/bin/lzma", name: "lzma", path: "/usr/bin/xz", priority: 20, slaves: lzmaSlaves() }],
    },
  },
];

function lzmaSlaves(): { link: string; name: string; path: string }[] {
  const utilities = ["cat", "more", "less", "diff", "cmp", "grep", "egrep", "fgrep"].map((name) => [
    `lz${name}`,
    `xz${name}`,
  ]);
  const manual = (name: string) => `/usr/share/man/man1/${name}.1.gz`;
  const programs = [["unlzma", "unxz"], ...utilities] as [string, string][];
  return [
    { link: manual("lzma"), name: "lzma.1.gz", path: manual("xz") },
    ...programs.flatMap(([name, target]) => [
      { link: `/usr/bin/${name}`, name, path: `/usr/bin/${target}` },
      { link: manual(name), name: `${name}.1.gz`, path: manual(target) },
    ]),
  ];
}
