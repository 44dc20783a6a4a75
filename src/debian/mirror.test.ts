import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { test } from "node:test";
import { parseDeb822Sources, parseOneLineSources, readAptSources } from "./apt-sources.ts";
import { readMirrors } from "./mirror.ts";
import { scratchFolder, writeAt } from "./mirror-server.testing.ts";

const oneLine = `# comment
deb http://deb.example.test/debian bookworm main contrib # tail
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.example.test/debian/ bookworm-updates main
deb-src http://deb.example.test/debian bookworm main
# deb http://off.example.test/debian bookworm main
deb [ signed-by=/usr/share/keyrings/other.gpg ] https://vendor.example.test/debian bookworm main
deb https://vendor.example.test/linux/debian bookworm stable
deb http://sec.example.test/debian-security bookworm-security main
`;

const deb822 = `Types: deb deb-src
# a comment inside
URIs: http://one.example.test/debian http://two.example.test/debian
Suites: trixie trixie-updates
Components: main
 contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Enabled: no
Types: deb
URIs: http://off.example.test/debian
Suites: trixie
Components: main

Types: deb-src
URIs: http://source.example.test/debian
Suites: trixie
Components: main

Types: deb
URIs: http://sec.example.test/debian-security
Suites: trixie-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEYCQjIxYJKwYBBAHaRw8BAQdA
 -----END PGP PUBLIC KEY BLOCK-----
`;

test("one-line sources are read with options and comments", () => {
  const sources = parseOneLineSources(oneLine);
  assert.deepEqual(
    sources.map(({ uri, suites, components }) => [uri, ...suites, ...components].join(" ")),
    [
      "http://deb.example.test/debian bookworm main contrib",
      "http://deb.example.test/debian/ bookworm-updates main",
      "https://vendor.example.test/debian bookworm main",
      "https://vendor.example.test/linux/debian bookworm stable",
      "http://sec.example.test/debian-security bookworm-security main",
    ],
  );
  assert.deepEqual(sources[1]!.signedBy, ["/usr/share/keyrings/debian-archive-keyring.gpg"]);
});

test("deb822 sources are read with several addresses, disabled ones, and a key of their own", () => {
  const sources = parseDeb822Sources(deb822);
  assert.deepEqual(
    sources.map(({ uri }) => uri),
    ["http://one.example.test/debian", "http://two.example.test/debian", "http://sec.example.test/debian-security"],
  );
  assert.deepEqual(sources[0]!.components, ["main", "contrib"]);
  assert.equal(
    sources[2]!.signedBy[0],
    "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDMEYCQjIxYJKwYBBAHaRw8BAQdA\n-----END PGP PUBLIC KEY BLOCK-----\n",
  );
});

test("apt reads the same out of both formats", () => {
  using root = scratchFolder();
  writeAt(root.path, "etc/apt/sources.list", oneLine);
  writeAt(root.path, "etc/apt/sources.list.d/debian.sources", deb822);
  writeAt(root.path, "etc/apt/sources.list.d/ignored.txt", "deb http://x.example.test/debian trixie main\n");
  for (const folder of ["etc/apt/preferences.d", "etc/apt/apt.conf.d", "var/lib/apt/lists/partial", "var/lib/dpkg"]) {
    mkdirSync(`${root.path}/${folder}`, { recursive: true });
  }
  writeAt(root.path, "var/lib/dpkg/status", "");
  const told = execFileSync("apt-get", ["-o", `Dir=${root.path}`, "update", "--print-uris"], { encoding: "utf8" });
  const indices = [...told.matchAll(/^'(\S+)\/dists\/(\S+)\/([^/]+)\/binary-[^/]+\/Packages/gm)];
  const aptLines = [...new Set(indices.map(([, uri, suite, component]) => `${uri} ${suite} ${component}`))];
  const ours = readAptSources(root.path).flatMap(({ uri, suites, components }) =>
    suites.flatMap((suite) => components.map((component) => `${uri.replace(/\/$/, "")} ${suite} ${component}`)),
  );
  assert.ok(aptLines.length > 5);
  assert.deepEqual([...new Set(ours)].sort(), aptLines.sort());
});

test("Debian's own archives are told from third parties'", () => {
  using root = scratchFolder();
  writeAt(root.path, "etc/apt/sources.list", oneLine);
  writeAt(root.path, "usr/share/keyrings/debian-archive-keyring.gpg", "");
  writeAt(root.path, "usr/share/keyrings/other.gpg", "");
  const mirrors = readMirrors({ root: root.path, variables: {} });
  assert.deepEqual(mirrors.main, ["http://deb.example.test/debian"]);
  assert.deepEqual(mirrors.security, ["http://sec.example.test/debian-security"]);
  assert.deepEqual(mirrors.keyrings, [{ file: `${root.path}/usr/share/keyrings/debian-archive-keyring.gpg` }]);
});

test("several addresses are all kept, and embedded keys are used", () => {
  using root = scratchFolder();
  writeAt(root.path, "etc/apt/sources.list.d/debian.sources", deb822);
  const mirrors = readMirrors({ root: root.path, variables: {} });
  assert.deepEqual(mirrors.main, ["http://one.example.test/debian", "http://two.example.test/debian"]);
  assert.ok("armored" in mirrors.keyrings[0]!);
});

test("a variable wins over apt, and the security archive follows from it", () => {
  using root = scratchFolder();
  writeAt(root.path, "etc/apt/sources.list", oneLine);
  writeAt(root.path, "usr/share/keyrings/debian-archive-keyring.pgp", "");
  const variables = { MESO_DEBIAN_MIRROR: "https://m.example.test/debian/" };
  const mirrors = readMirrors({ root: root.path, variables });
  assert.deepEqual(mirrors.main, ["https://m.example.test/debian"]);
  assert.deepEqual(mirrors.security, ["https://m.example.test/debian-security"]);
  assert.match(JSON.stringify(mirrors.keyrings), /debian-archive-keyring\.pgp/);
  const both = readMirrors({
    root: root.path,
    variables: { ...variables, MESO_DEBIAN_SECURITY_MIRROR: "file:/srv/s" },
  });
  assert.deepEqual(both.security, ["file:/srv/s"]);
});

test("a proxy is taken from variables, else from apt", () => {
  using root = scratchFolder();
  writeAt(root.path, "etc/apt/sources.list", oneLine);
  writeAt(root.path, "usr/share/keyrings/debian-archive-keyring.gpg", "");
  writeAt(root.path, "etc/apt/apt.conf.d/01proxy", 'Acquire::http::Proxy "http://cache.example.test:3142";\n');
  assert.deepEqual(readMirrors({ root: root.path, variables: {} }).proxy, {
    HTTP_PROXY: "http://cache.example.test:3142",
    HTTPS_PROXY: "http://cache.example.test:3142",
  });
  const variables = { http_proxy: "http://p.example.test:1", no_proxy: "localhost" };
  assert.equal(readMirrors({ root: root.path, variables }).proxy.HTTP_PROXY, "http://p.example.test:1");
});

test("mistakes are named", () => {
  using root = scratchFolder();
  const code = (variables: Record<string, string>) => {
    try {
      readMirrors({ root: root.path, variables });
    } catch (error) {
      return (error as { code: string }).code;
    }
    return "none";
  };
  assert.equal(code({}), "no-mirror");
  assert.equal(code({ MESO_DEBIAN_MIRROR: "ftp://m.example.test/debian" }), "bad-mirror");
  assert.equal(code({ MESO_DEBIAN_MIRROR: "http://m.example.test/debian" }), "no-keyring");
  assert.equal(code({ MESO_DEBIAN_MIRROR: "file:/srv", MESO_DEBIAN_KEYRING: "/nowhere/k.gpg" }), "no-keyring");
});
