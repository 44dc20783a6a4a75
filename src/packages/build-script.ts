import { quoted } from "./build-system.ts";
import { changedPhases, type Phase } from "./phase.ts";
import type { SourcePackage } from "./source-package.ts";

/** What of a build's inputs the script must know, by store path. */
export interface ScriptPlaces {
  /** Outputs of source packages that are compiled and linked against. */
  readonly inputs: readonly string[];
  /** Outputs of source packages that the build runs. */
  readonly nativeInputs: readonly string[];
  readonly unpack: string;
}

/** The whole of a build as text for bash, one phase after the other. */
export function buildScript(pkg: SourcePackage, places: ScriptPlaces): string {
  const { buildSystem, tests, patches, snippets } = pkg;
  const changes: readonly Phase[] = [
    ...patches.map(({ name }, i) => ({ name: `patch ${name}`, script: `patch -p1 < /build/.patches/${i}` })),
    ...snippets.map((script, i) => ({ name: `snippet ${i + 1}`, script })),
  ];
  const phases = changedPhases(
    [
      { name: "unpack", script: places.unpack },
      ...changes,
      ...buildSystem.phases.filter(({ name }) => tests || name !== "check"),
      { name: "fixup", script: fixup(pkg) },
    ],
    // A change of the tests means nothing where they are not run.
    pkg.phases.filter(({ phase }) => tests || phase !== "check"),
  );
  return [
    "set -eu -o pipefail",
    "shopt -s nullglob",
    ...settings(pkg, places),
    ...patches.map(({ text }, i) => `mkdir -p /build/.patches\nprintf %s ${quoted(text)} > /build/.patches/${i}`),
    ...phases.map(({ name, script }) => `printf '== %s\\n' ${quoted(name)}\n${script}`),
    "",
  ].join("\n");
}

function settings(pkg: SourcePackage, { inputs, nativeInputs }: ScriptPlaces): string[] {
  const list = (folder: string, all = inputs) => all.map((input) => `${input}/${folder}`).join(":");
  const path = [...nativeInputs, ...inputs].map((input) => `${input}/bin:`).join("");
  const compilerFlags = ["-O2", ...(pkg.outputs.includes("debug") ? ["-g"] : []), ...pkg.compilerFlags].join(" ");
  const linkerFlags = ["$out", ...inputs].map((input) => `-Wl,-rpath,${input}/lib`).join(" ");
  const environment = Object.entries({
    PATH: `${path}/usr/sbin:/usr/bin:/sbin:/bin`,
    // Later than what zip archives can tell.
    SOURCE_DATE_EPOCH: "315619200",
    CFLAGS: compilerFlags,
    CXXFLAGS: compilerFlags,
    FFLAGS: compilerFlags,
    PYTHONHASHSEED: "0",
    PYTHONDONTWRITEBYTECODE: "1",
    ...(inputs.length > 0 && {
      C_INCLUDE_PATH: list("include"),
      CPLUS_INCLUDE_PATH: list("include"),
      LIBRARY_PATH: list("lib"),
      PKG_CONFIG_PATH: `${list("lib/pkgconfig")}:${list("share/pkgconfig")}`,
      CMAKE_PREFIX_PATH: inputs.join(":"),
      ACLOCAL_PATH: list("share/aclocal"),
    }),
  });
  return [
    ...environment.map(([name, value]) => `export ${name}=${quoted(value)}`),
    `export LDFLAGS="${linkerFlags}"`,
    "cores=$(nproc)",
    `configureFlags=(${pkg.configureFlags.map(flag).join(" ")})`,
    `makeFlags=(${pkg.makeFlags.map(flag).join(" ")})`,
    `directoryFlags=(${directoryFlags(pkg).join(" ")})`,
    ...Object.entries(pkg.environment).map(([name, value]) => `export ${name}=${flag(value)}`),
  ];
}

/** Flags may name outputs: `--with-plugins=$out/lib`. Nothing else of the shell has a meaning in them. */
function flag(text: string): string {
  return `"${text.replace(/[\\"`]/g, "\\$&").replace(/\$(?!(out|dev|doc|debug)\b)/g, "\\$")}"`;
}

function directoryFlags({ outputs }: SourcePackage): string[] {
  return [
    ...(outputs.includes("dev") ? ['--includedir="$dev/include"'] : []),
    ...(outputs.includes("doc") ? ['--docdir="$doc/share/doc"', '--mandir="$doc/share/man"'] : []),
  ];
}

/** Moves what other outputs are for, and takes away what is of no use or differs from build to build. */
function fixup({ outputs, buildSystem }: SourcePackage): string {
  const lines = ["cd /build"];
  const move = (output: string, folders: readonly string[]) => {
    if (!outputs.includes(output)) return;
    lines.push(`mkdir -p "$${output}"`);
    for (const folder of folders) {
      lines.push(
        `if [ -e "$out/${folder}" ]; then mkdir -p "$(dirname "$${output}/${folder}")"; cp -r "$out/${folder}" "$(dirname "$${output}/${folder}")"; rm -r "$out/${folder}"; fi`,
      );
    }
  };
  move("dev", ["include", "lib/pkgconfig", "share/pkgconfig", "lib/cmake", "share/aclocal"]);
  move("doc", ["share/doc", "share/man", "share/info", "share/gtk-doc"]);
  if (["copy", "trivial", "python"].includes(buildSystem.name)) return lines.join("\n");
  lines.push(
    // Libtool's archives name folders of the build; info's index is made of all packages together.
    `find "$out" -name '*.la' -type f -delete`,
    `rm -f "$out/share/info/dir"`,
    outputs.includes("debug") ? separateDebug : strip,
  );
  return lines.join("\n");
}

const strip = `
find "$out" -type f \\( -name '*.a' -o -name '*.o' \\) -exec strip --strip-debug --enable-deterministic-archives {} +
find "$out" -type f \\( -perm /111 -o -name '*.so*' \\) | while read -r file; do
  if [ "$(head -c 4 "$file" | tail -c 3)" = ELF ]; then strip --strip-unneeded "$file"; fi
done`;

/** Symbols by build id, as gdb looks for them below lib/debug. */
const separateDebug = `
mkdir -p "$debug"
find "$out" -type f \\( -perm /111 -o -name '*.so*' \\) | while read -r file; do
  if [ "$(head -c 4 "$file" | tail -c 3)" != ELF ]; then continue; fi
  id=$(readelf -n "$file" | sed -n 's/^ *Build ID: //p')
  if [ -z "$id" ]; then continue; fi
  mkdir -p "$debug/lib/debug/.build-id/\${id:0:2}"
  objcopy --only-keep-debug --compress-debug-sections "$file" "$debug/lib/debug/.build-id/\${id:0:2}/\${id:2}.debug"
  strip --strip-unneeded "$file"
done`;
