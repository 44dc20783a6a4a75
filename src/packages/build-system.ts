import { attachFacts } from "../language/record.ts";
import type { Phase } from "./phase.ts";

/** How a kind of source becomes a package: the phases between unpacking and finishing, and the tools they need. */
export interface BuildSystem {
  readonly name: string;
  /** Debian packages beside the common tools. */
  readonly tools: readonly string[];
  readonly phases: readonly Phase[];
}

const compilers = ["gcc", "g++", "libc6-dev", "make", "pkgconf"];

/**
 * `configure` and `make`.
 *
 * @param options `bootstrap`: makes `configure` anew by autoreconf, for sources that bring none or a changed one.
 */
export function gnu(options: { readonly bootstrap?: boolean } = {}): BuildSystem {
  const bootstrap = { name: "bootstrap", script: "autoreconf --force --install --verbose" };
  return buildSystem({
    name: "gnu",
    tools: [...compilers, ...(options.bootstrap ? ["autoconf", "automake", "libtool", "gettext"] : [])],
    phases: [
      ...(options.bootstrap ? [bootstrap] : []),
      { name: "configure", script: `./configure --prefix="$out" "\${directoryFlags[@]}" "\${configureFlags[@]}"` },
      ...makePhases("check"),
    ],
  });
}

/** A Makefile and nothing before it; it is told `PREFIX` and `prefix`. */
export function make(options: { readonly check?: string } = {}): BuildSystem {
  const [build, check, install] = makePhases(options.check ?? "check");
  const prefixes = `PREFIX="$out" prefix="$out"`;
  return buildSystem({
    name: "make",
    tools: compilers,
    phases: [
      { name: "build", script: `${build!.script} ${prefixes}` },
      check!,
      { name: "install", script: `${install!.script} ${prefixes}` },
    ],
  });
}

/** CMake with Ninja; tests by ctest. */
export function cmake(): BuildSystem {
  return buildSystem({
    name: "cmake",
    tools: [...compilers, "cmake", "ninja-build"],
    phases: [
      {
        name: "configure",
        script: [
          "cmake -S . -B build-of-meso -G Ninja -DCMAKE_BUILD_TYPE=None",
          `-DCMAKE_INSTALL_PREFIX="$out" -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_INSTALL_RPATH="$out/lib"`,
          `-DCMAKE_INSTALL_RPATH_USE_LINK_PATH=ON -DFETCHCONTENT_FULLY_DISCONNECTED=ON "\${configureFlags[@]}"`,
        ].join(" "),
      },
      { name: "build", script: `cmake --build build-of-meso -j "$cores" "\${makeFlags[@]}"` },
      { name: "check", script: `ctest --test-dir build-of-meso --output-on-failure -j "$cores"` },
      { name: "install", script: "cmake --install build-of-meso" },
    ],
  });
}

/** Meson with Ninja. */
export function meson(): BuildSystem {
  return buildSystem({
    name: "meson",
    tools: [...compilers, "meson", "ninja-build"],
    phases: [
      {
        name: "configure",
        script: `meson setup build-of-meso --prefix="$out" --libdir=lib --buildtype=plain --wrap-mode=nodownload "\${configureFlags[@]}"`,
      },
      { name: "build", script: `meson compile -C build-of-meso -j "$cores"` },
      { name: "check", script: "meson test -C build-of-meso --no-rebuild --print-errorlogs --timeout-multiplier 5" },
      { name: "install", script: "meson install -C build-of-meso --no-rebuild" },
    ],
  });
}

/** A Python project (pyproject.toml or setup.py) by its own build back end; tests by unittest. */
export function python(): BuildSystem {
  return buildSystem({
    name: "python",
    tools: ["python3", "python3-build", "python3-installer", "python3-setuptools", "python3-wheel"],
    phases: [
      { name: "build", script: "python3 -m build --wheel --no-isolation --skip-dependency-check" },
      { name: "check", script: "PYTHONPATH=.:src python3 -m unittest discover" },
      {
        name: "install",
        script: [
          `python3 -m installer --no-compile-bytecode --destdir /build/installed dist/*.whl`,
          `mkdir -p "$out"`,
          // Debian's python installs below /usr/local; a store item has it all at its top.
          `cp -r /build/installed/usr/local/. "$out"`,
        ].join("\n"),
      },
    ],
  });
}

/**
 * Copies files and folders of the source.
 *
 * @param plan where each path of the source goes, below the output: `{ "scripts/run.sh": "bin/run" }`.
 */
export function copy(plan: Readonly<Record<string, string>> = { ".": "." }): BuildSystem {
  const lines = Object.entries(plan).map(([from, to]) => {
    const target = `"$out"/${quoted(to)}`;
    return `mkdir -p "$(dirname ${target})" && cp -rT --preserve=mode,links ${quoted(from)} ${target}`;
  });
  return buildSystem({ name: "copy", tools: [], phases: [{ name: "install", script: lines.join("\n") }] });
}

/** Nothing but a script, which writes to `$out`; with `tools`, Debian packages that it needs. */
export function trivial(script: string, tools: readonly string[] = []): BuildSystem {
  return buildSystem({ name: "trivial", tools, phases: [{ name: "build", script }] });
}

/** As one word of a shell. */
export function quoted(text: string): string {
  return /^[A-Za-z0-9_./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function makePhases(check: string): readonly Phase[] {
  const words = (target: string) => `make -j "$cores"${target} "\${makeFlags[@]}"`;
  return [
    { name: "build", script: words("") },
    { name: "check", script: words(` ${check}`) },
    { name: "install", script: `make install "\${makeFlags[@]}"` },
  ];
}

function buildSystem(value: BuildSystem): BuildSystem {
  return attachFacts(value, { kind: "buildSystem", given: value, fields: {} });
}
