import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { MesoError } from "../base/error.ts";
import type { BuildSystem } from "../packages/build-system.ts";
import { packageBuiltins } from "../packages/builtins/index.ts";
import {
  cmake,
  copy,
  forMicroarchitecture,
  gnu,
  localPath,
  make,
  python,
  sourcePackage,
  withDebug,
} from "../packages/index.ts";
import type { SourcePackage } from "../packages/source-package.ts";
import { checkReproducible, realise } from "../store/realise.ts";
import { testSession } from "../test-support/test-session.ts";
import { preparePackages } from "./package-graph.ts";

// One small project for each build system (meson has Debian's inih in system-sources.test.ts), as its own people write
// them: with tests, and installed by its own rules. None of them installs what was not tested.

const folder = mkdtempSync(join(tmpdir(), "meso-builds-"));
after(() => rmSync(folder, { recursive: true, force: true }));

function project(name: string, buildSystem: BuildSystem, files: Readonly<Record<string, string>>): SourcePackage {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name, path)), { recursive: true });
    writeFileSync(join(folder, name, path), text, { mode: text.startsWith("#!") ? 0o755 : 0o644 });
  }
  return sourcePackage({ name, version: "1", source: localPath(join(folder, name)), buildSystem });
}

const greeting = `#include <stdio.h>
int main(void) {
#ifdef __SSE4_2__
  puts("hello of v2");
#else
  puts("hello");
#endif
  return 0;
}
`;

const made = project("made", make({ check: "test" }), {
  "hello.c": greeting,
  // The prefix reaches the program's build as well as its installation.
  Makefile: `hello: hello.c
\t$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $<
\techo $(PREFIX) > prefix
test: hello
\t./hello | grep -q hello && touch tested
install: hello tested
\tinstall -D hello $(PREFIX)/bin/hello
\tinstall -D prefix $(PREFIX)/share/prefix
`,
});

const configured = project("configured", gnu({ bootstrap: true }), {
  "configure.ac": `AC_INIT([configured], [1])
AM_INIT_AUTOMAKE([foreign])
AC_PROG_CC
AC_CONFIG_FILES([Makefile])
AC_OUTPUT
`,
  "Makefile.am": "bin_PROGRAMS = hello\nhello_SOURCES = hello.c\nTESTS = check.sh\ninstall-data-hook: tested\n",
  "check.sh": "#!/bin/sh\n./hello | grep -q hello && touch tested\n",
  "hello.c": greeting,
});

const generated = project("generated", cmake(), {
  "CMakeLists.txt": `cmake_minimum_required(VERSION 3.16)
project(generated C)
add_library(word SHARED word.c)
add_executable(hello hello.c)
target_link_libraries(hello word)
install(TARGETS word hello)
enable_testing()
add_test(NAME says COMMAND sh -c "./hello && touch tested")
install(FILES \${CMAKE_BINARY_DIR}/tested DESTINATION share)
`,
  "word.c": 'const char *word(void) { return "hello from a library"; }\n',
  "hello.c": "#include <stdio.h>\nconst char *word(void);\nint main(void) { puts(word()); return 0; }\n",
});

const greetingModule = {
  "pyproject.toml": `[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "greeting"
version = "1"
[project.scripts]
hello = "greeting:main"
[tool.setuptools]
packages = ["greeting"]
`,
  "greeting/__init__.py": 'def main():\n    print("hello")\n',
  "test_greeting.py":
    "import unittest, greeting\nclass T(unittest.TestCase):\n    def test_main(self):\n        greeting.main()\n",
};
const wheel = project("wheel", python(), greetingModule);

const copied = project("copied", copy({ "scripts/hello.sh": "bin/hello", "two words": "share/two words" }), {
  "scripts/hello.sh": "#!/bin/sh\necho hello\n",
  "two words/file": "kept\n",
  "left out": "",
});

const debuggable = withDebug("made")(made);
const modern = forMicroarchitecture("x86-64-v2")(made);
const wrong = [
  project("wrong", make({ check: "test" }), { Makefile: "all:\ntest:\n\techo 'main fails' && false\ninstall:\n" }),
  project("wrong-wheel", python(), {
    ...greetingModule,
    "greeting/__init__.py": "def main():\n    raise Exception('main fails')\n",
  }),
];

test("each build system builds, tests and installs, to the same bytes when it does so again", async () => {
  const session = testSession();
  const packages = [made, configured, generated, wheel, copied, debuggable, modern];
  const { items, nodes } = await preparePackages(session, packages);
  const derivations = packages.map((one) => nodes.get(one)!.path);
  const options = { builtins: packageBuiltins, parallel: 2 };
  await realise(session.store, items, derivations, options);
  for (const path of derivations) await checkReproducible(session.store, items, path, options);

  const place = (one: SourcePackage, output?: string) => items.physicalPath(nodes.get(one)!.out(output));
  const says = (one: SourcePackage, environment = {}) =>
    execFileSync(join(place(one), "bin/hello"), { encoding: "utf8", env: environment }).trim();
  assert.deepEqual(
    [made, configured, debuggable, modern, copied].map((one) => says(one)),
    ["hello", "hello", "hello", "hello of v2", "hello"],
  );
  assert.equal(readFileSync(join(place(made), "share/prefix"), "utf8").trim(), nodes.get(made)!.out());
  assert.equal(says(generated, { LD_LIBRARY_PATH: join(place(generated), "lib") }), "hello from a library");
  const [version] = readdirSync(join(place(wheel), "lib"));
  const modules = join(place(wheel), "lib", version!, "dist-packages");
  assert.deepEqual(readdirSync(modules).sort(), ["greeting", "greeting-1.dist-info"]);
  assert.match(readFileSync(join(place(wheel), "bin/hello"), "utf8"), /^#!\/usr\/bin\/python3\n/);
  assert.deepEqual(readdirSync(place(copied)).sort(), ["bin", "share"]);
  assert.equal(readFileSync(join(place(copied), "share/two words/file"), "utf8"), "kept\n");

  // Where gdb looks for them, by what the program says of itself.
  const about = (file: string) =>
    execFileSync("readelf", ["--notes", "--section-headers", file], { encoding: "utf8", stdio: "pipe" });
  const stripped = about(join(place(debuggable), "bin/hello"));
  const [, head, tail] = /Build ID: (..)([0-9a-f]+)/.exec(stripped)!;
  assert.doesNotMatch(stripped, /\.debug_info/);
  assert.match(about(join(place(debuggable, "debug"), `lib/debug/.build-id/${head}/${tail}.debug`)), /\.debug_info/);
  assert.doesNotMatch(about(join(place(made), "bin/hello")), /\.debug_info|\.symtab/);
});

test("a package whose own tests fail is none, and is told by their words", async () => {
  const session = testSession();
  const { items, nodes } = await preparePackages(session, wrong);
  for (const one of wrong) {
    await assert.rejects(
      realise(session.store, items, [nodes.get(one)!.path], { builtins: packageBuiltins }),
      (error: unknown) => error instanceof MesoError && /main fails/.test(error.message),
    );
  }
});
