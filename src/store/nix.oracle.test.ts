import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { derivationPath, printDerivation, withOutputPaths } from "./derivation.ts";
import { narHash, writeNar } from "./nar.ts";
import { makeCacheKey, parseNarInfo, printNarInfo, readPublicKey, signerOf, signNarInfo } from "./narinfo.ts";
import { parseDerivation } from "./parse-derivation.ts";
import { sourcePath } from "./store-path.ts";

// Nix's own tools, from Debian, judge what we write: they know the same formats and share no line with us.
const folder = mkdtempSync(join(tmpdir(), "meso-nix-"));
after(() => {
  // Nix makes its store's folders read-only.
  spawnSync("chmod", ["-R", "u+w", folder]);
  rmSync(folder, { recursive: true });
});
const at = (...names: string[]) => join(folder, ...names);
const prefix = "/nix/store";

function nix(command: string, ...words: string[]): string {
  const options = [
    "--option",
    "experimental-features",
    "nix-command",
    "--option",
    "build-users-group",
    "",
    "--option",
    "substituters",
    "",
  ];
  return execFileSync(command, [...words, ...options], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, HOME: folder, NIX_STATE_DIR: at("state"), NIX_CONF_DIR: at("conf") },
  }).trim();
}

mkdirSync(at("tree", "bin"), { recursive: true });
writeFileSync(at("tree", "bin", "hello"), "#!/bin/sh\necho hello\n", { mode: 0o755 });
writeFileSync(at("tree", "README"), "A file.\n");
symlinkSync("bin/hello", at("tree", "run"));
const { sha256, size } = narHash(at("tree"));
const path = sourcePath("tree", sha256, [], prefix);

test("nix-hash and nix-store give a tree the hash and the path that we do", () => {
  assert.equal(nix("nix-hash", "--type", "sha256", at("tree")), sha256);
  const root = `local?root=${at("root")}`;
  assert.equal(nix("nix-store", "--store", root, "--add", at("tree")), path);
});

test("a cache of ours is accepted by nix copy, with our signature and not without it", () => {
  const key = makeCacheKey("test-1", Buffer.alloc(32, 7));
  mkdirSync(at("cache", "nar"), { recursive: true });
  const pieces: Uint8Array[] = [];
  writeNar(at("tree"), (piece) => pieces.push(Uint8Array.from(piece)));
  writeFileSync(at("cache/nar/tree.nar"), Buffer.concat(pieces));
  writeFileSync(at("cache/nix-cache-info"), `StoreDir: ${prefix}\n`);
  const unsigned = {
    ...{ storePath: path, url: "nar/tree.nar", compression: "none", fileHash: sha256, fileSize: size },
    ...{ narHash: sha256, narSize: size, references: [], signatures: [] },
  };
  const description = at("cache", `${path.slice(prefix.length + 1, prefix.length + 33)}.narinfo`);
  const copy = (target: string) =>
    nix(
      "nix",
      "copy",
      "--from",
      `file://${at("cache")}`,
      "--to",
      `local?root=${at(target)}`,
      path,
      "--option",
      "trusted-public-keys",
      key.public,
    );
  writeFileSync(description, printNarInfo(unsigned));
  assert.throws(() => copy("refusing"), /lacks a valid signature|lacks a signature/);
  writeFileSync(description, printNarInfo(signNarInfo(unsigned, key.secret)));
  // Nix remembers what a cache said.
  rmSync(at(".cache"), { recursive: true, force: true });
  copy("accepting");
  assert.deepEqual(narHash(at("accepting", path)), { sha256, size });
});

test("what Nix signs, and its keys, are understood", () => {
  nix("nix-store", "--generate-binary-cache-key", "nix-1", at("secret"), at("public"));
  const publicKey = readPublicKey(readFileSync(at("public"), "utf8"));
  const root = `local?root=${at("root")}`;
  nix("nix", "copy", "--from", root, "--to", `file://${at("theirs")}?secret-key=${at("secret")}`, path);
  const text = readFileSync(at("theirs", `${path.slice(prefix.length + 1, prefix.length + 33)}.narinfo`), "utf8");
  const info = parseNarInfo(text);
  assert.deepEqual([info.storePath, info.narHash, info.narSize], [path, sha256, size]);
  assert.equal(signerOf(info, [publicKey]), "nix-1");
  assert.equal(signerOf({ ...info, narSize: size + 1 }, [publicKey]), undefined);
  assert.equal(signerOf({ ...info, signatures: [] }, [publicKey]), undefined);
  const ours = signNarInfo({ ...info, signatures: [] }, readFileSync(at("secret"), "utf8"));
  assert.deepEqual(ours.signatures, info.signatures);
});

test("nix-instantiate writes the very derivation that we do, and nix-store builds it to the path that we name", () => {
  const root = `local?root=${at("root")}`;
  const script = 'echo "made by Nix" > $out; echo -n "$text" >> $out; echo for $input > $dev';
  const quotedText = 'tab\t"quoted"\nü\\';
  const source = `
    let fixed = derivation {
      name = "fixed"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo hello > $out" ];
      outputHashMode = "flat"; outputHashAlgo = "sha256";
      outputHash = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    }; in derivation {
      name = "made"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" ${JSON.stringify(script).replaceAll("${", "\\${")} ];
      outputs = [ "out" "dev" ]; text = ${JSON.stringify(quotedText)}; input = fixed;
    }`;
  const file = nix("nix-instantiate", "--store", root, "-E", source);
  const system = nix("nix-instantiate", "--store", root, "--eval", "-E", "builtins.currentSystem").slice(1, -1);
  const shared = { inputSources: [], system, builder: "/bin/sh" };
  const digest = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
  const fixed = withOutputPaths(
    "fixed",
    {
      ...shared,
      outputs: new Map([["out", { path: "", fixed: { recursive: false, algorithm: "sha256", digest } }]]),
      inputDerivations: new Map(),
      arguments: ["-c", "echo hello > $out"],
      environment: new Map(
        Object.entries({
          ...{ name: "fixed", system, builder: "/bin/sh" },
          ...{ outputHash: digest, outputHashAlgo: "sha256", outputHashMode: "flat" },
        }),
      ),
    },
    () => assert.fail("it has no inputs"),
    prefix,
  );
  const fixedFile = derivationPath("fixed", fixed, prefix);
  const environment = { name: "made", system, builder: "/bin/sh", outputs: "out dev", text: quotedText };
  const made = withOutputPaths(
    "made",
    {
      ...shared,
      outputs: new Map([
        ["out", { path: "" }],
        ["dev", { path: "" }],
      ]),
      inputDerivations: new Map([[fixedFile, ["out"]]]),
      arguments: ["-c", script],
      environment: new Map(Object.entries({ ...environment, input: fixed.outputs.get("out")!.path })),
    },
    (path) => (path === fixedFile ? fixed : assert.fail(path)),
    prefix,
  );
  assert.equal(readFileSync(at("root", file), "utf8"), printDerivation(made));
  assert.equal(file, derivationPath("made", made, prefix));
  assert.deepEqual(parseDerivation(readFileSync(at("root", file), "utf8")).outputs, made.outputs);
  const outputs = nix(
    "nix-store",
    "--store",
    root,
    "--realise",
    file,
    "--option",
    "sandbox",
    "true",
    "--option",
    "sandbox-paths",
    "/bin /lib /lib64 /usr",
  ).split("\n");
  assert.deepEqual(outputs.sort(), [...made.outputs.values()].map(({ path }) => path).sort());
  assert.match(readFileSync(at("root", made.outputs.get("out")!.path), "utf8"), /^made by Nix\n/);
});
