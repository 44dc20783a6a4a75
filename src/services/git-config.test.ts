import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { MesoError } from "../base/error.ts";
import { baseFileSystems, fileSystem, label, operatingSystem, secret } from "../index.ts";
import { lowerSystem } from "../system/lower.ts";
import { newSshKey } from "../test-support/ssh-key.ts";
import { type GitConfigOptions, withGitConfig } from "./index.ts";

const top = mkdtempSync(join(tmpdir(), "meso-git-config-"));
after(() => rmSync(top, { recursive: true, force: true }));

const plain = operatingSystem({
  hostName: "front",
  fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" }), ...baseFileSystems],
});
const lowered = (options: GitConfigOptions) => lowerSystem(withGitConfig(options)(plain));

const { file: keyFile, line: publicKey } = newSshKey(top);

/**
 * A repository that somebody works in, and a machine that follows it: the very program, beside a systemctl that writes
 * down what it is asked.
 */
function site(name: string, changes: Partial<GitConfigOptions> = {}) {
  const folder = join(top, name);
  const repository = join(folder, "sources");
  mkdirSync(repository, { recursive: true });
  const git = (...words: string[]) => {
    const identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgSign=false"];
    return execFileSync("git", ["-C", repository, ...identity, ...words], { encoding: "utf8", stdio: "pipe" }).trim();
  };
  git("init", "--quiet", "--initial-branch=main");
  const options: GitConfigOptions = {
    ...{ name: "site", repository: `file://${repository}`, branch: "main", metricsFolder: join(folder, "metrics") },
    allowedSigners: [`a@example.org ${publicKey}`],
    parts: [
      { path: "web", units: ["web.service"], check: `! grep -rq broken ${"/var/lib/git-config/site/current/web"}` },
      { path: "names", units: [{ unit: "names.service", verb: "restart" }] },
    ],
    ...changes,
  };
  const { files } = lowered(options);
  const inside = join(folder, "programs");
  // What lies in the store lies below a folder of the test, under the same names.
  for (const file of files) {
    if (file.kind !== "file" || !file.path.startsWith("/meso/store/")) continue;
    mkdirSync(dirname(join(inside, file.path)), { recursive: true });
    writeFileSync(join(inside, file.path), file.text.replaceAll("/meso/store/", `${inside}/meso/store/`));
    chmodSync(join(inside, file.path), 0o755);
  }
  const path = (pattern: RegExp) => join(inside, files.find((one) => pattern.test(one.path))!.path);
  const systemctl = join(folder, "systemctl");
  const log = join(folder, "units");
  writeFileSync(
    systemctl,
    `#!/bin/sh\ncase "$1 $2" in\n  "is-active --quiet") exec test ! -e ${folder}/dead-\${3} ;;\n  "is-active "*) echo active ;;\n  *) echo "$@" >> ${log} ;;\nesac\n`,
    { mode: 0o755 },
  );
  for (const one of ["lib", "metrics", "secrets"]) mkdirSync(join(folder, one));
  const base = join(folder, "lib/git-config/site");
  return {
    ...{ folder, repository, git, base },
    commit(message: string, contents: Readonly<Record<string, string>>, signed = true): string {
      for (const [file, text] of Object.entries(contents)) {
        mkdirSync(dirname(join(repository, file)), { recursive: true });
        writeFileSync(join(repository, file), text);
      }
      git("add", "--all");
      const sign = signed ? ["-c", "gpg.format=ssh", "-c", `user.signingKey=${keyFile}.pub`] : [];
      git(...sign, "commit", "--quiet", `--message=${message}`, ...(signed ? ["--gpg-sign"] : []));
      return git("rev-parse", "HEAD");
    },
    run(killAfter?: number): { readonly code: number | null; readonly said: string } {
      const script = `mount --bind "$1" /var/lib && mount --bind "$2" /usr/bin/systemctl && shift 2 && exec "$@"`;
      const words = [
        "--user",
        "--map-root-user",
        "--mount",
        "--propagation",
        "private",
        "/bin/sh",
        "-euc",
        script,
        "sh",
      ];
      const program = [join(folder, "lib"), systemctl, path(/-git-config$/), path(/-git-config-site\.json$/)];
      const options = {
        encoding: "utf8" as const,
        env: { PATH: process.env.PATH, CREDENTIALS_DIRECTORY: join(folder, "secrets") },
        killSignal: "SIGKILL" as const,
      };
      const ended = spawnSync("unshare", [...words, ...program], {
        ...options,
        ...(killAfter !== undefined && { timeout: killAfter }),
      });
      return { code: ended.status, said: ended.stderr + ended.stdout };
    },
    secret: (name: string, value: string) => {
      writeFileSync(join(folder, "secrets", name), value);
    },
    state: () =>
      JSON.parse(readFileSync(join(base, "state.json"), "utf8")) as Record<
        string,
        { commit: string; why: string } | null
      >,
    file: (name: string) => {
      const place = join(base, readlinkSync(join(base, "current")), name);
      return existsSync(place) ? readFileSync(place, "utf8") : undefined;
    },
    units: () => {
      const text = existsSync(log) ? readFileSync(log, "utf8") : "";
      rmSync(log, { force: true });
      return text.trim().split("\n").filter(Boolean);
    },
    metrics: () => readFileSync(join(folder, "metrics/git-config-site.prom"), "utf8"),
    break: (unitName: string) => writeFileSync(join(folder, `dead-${unitName}`), ""),
  };
}

test("a good change is put in place, and only what reads it is reloaded; nothing changes without one", () => {
  const one = site("good");
  const first = one.commit("first", { "web/site.conf": "one", "names/zone": "a" });
  assert.deepEqual([one.run().code, one.state().applied?.commit], [0, first]);
  assert.deepEqual(one.units(), ["restart names.service", "reload web.service"]);
  assert.equal(one.file("web/site.conf"), "one");
  assert.match(one.metrics(), new RegExp(`git_config_info\\{name="site",commit="${first}"\\} 1`));
  one.commit("second", { "names/zone": "b" });
  assert.equal(one.run().code, 0);
  assert.deepEqual(one.units(), ["restart names.service"]);
  assert.equal(one.file("names/zone"), "b");
  assert.equal(one.run().code, 0);
  assert.deepEqual(one.units(), []);
});

test("a broken change is refused by the checker, told once, and taken back by the next good one", () => {
  const one = site("broken");
  const good = one.commit("good", { "web/site.conf": "one" });
  one.run();
  one.units();
  const bad = one.commit("bad", { "web/site.conf": "broken" });
  const refused = one.run();
  assert.equal(refused.code, 1);
  assert.match(refused.said, /refused .*: web is refused/);
  assert.equal(one.file("web/site.conf"), "one");
  assert.deepEqual(one.units(), []);
  assert.deepEqual([one.state().applied?.commit, one.state().refused?.commit], [good, bad]);
  assert.match(one.metrics(), /git_config_refused\{name="site"\} 1/);
  one.commit("mended", { "web/site.conf": "two" });
  assert.equal(one.run().code, 0);
  assert.equal(one.state().refused, null);
  assert.equal(one.file("web/site.conf"), "two");
});

test("what its reader does not survive goes back to what was before", () => {
  const one = site("fatal");
  one.commit("good", { "web/site.conf": "one" });
  one.run();
  one.units();
  one.commit("fatal", { "web/site.conf": "fatal" });
  one.break("web.service");
  assert.equal(one.run().code, 1);
  assert.equal(one.file("web/site.conf"), "one");
  assert.deepEqual(one.units(), ["reload web.service", "reload web.service"]);
  assert.equal(one.run().code, 1);
  assert.deepEqual(one.units(), [], "it is not tried again and again");
});

test("neither unsigned commits, nor rewritten branches, nor links that lead out, nor submodules are taken", () => {
  const one = site("refused");
  const good = one.commit("good", { "web/site.conf": "one" });
  one.run();
  one.commit("unsigned", { "web/site.conf": "two" }, false);
  assert.match(one.run().said, /not signed by anybody who may/);
  one.git("reset", "--quiet", "--hard", good);
  one.git("checkout", "--quiet", "--orphan", "other");
  one.git("branch", "--quiet", "--delete", "--force", "main");
  one.git("branch", "--quiet", "--move", "main");
  one.commit("rewritten", { "web/site.conf": "three" });
  assert.match(one.run().said, /the branch was rewritten/);
  assert.equal(one.state().applied?.commit, good);

  const links = site("links");
  mkdirSync(join(links.repository, "web"));
  symlinkSync("../../../../../../etc/shadow", join(links.repository, "web/site.conf"));
  links.commit("link", {});
  assert.match(links.run().said, /its link web\/site\.conf leads out of it/);
  assert.equal(links.file("web/site.conf"), undefined);

  const nested = site("nested");
  const commit = nested.commit("first", { "names/zone": "a" });
  nested.git("update-index", "--add", "--cacheinfo", `160000,${commit},web`);
  nested.git(
    "-c",
    "gpg.format=ssh",
    "-c",
    `user.signingKey=${keyFile}.pub`,
    "commit",
    "--quiet",
    "--gpg-sign",
    "-m",
    "sub",
  );
  assert.match(nested.run().said, /it has a submodule at web/);

  const large = site("large", { mostBytes: 10_000 });
  large.commit("large", { "web/site.conf": "x".repeat(20_000) });
  assert.match(large.run().said, /more than 10000 bytes|cannot fetch/);
});

test("while the repository is away the last good version stays, and that is told", () => {
  const one = site("away");
  const good = one.commit("good", { "web/site.conf": "one" });
  one.run();
  rmSync(one.repository, { recursive: true });
  const run = one.run();
  assert.equal(run.code, 0, run.said);
  assert.match(String(one.state().failed?.why), /cannot fetch main of file:/);
  assert.deepEqual([one.state().applied?.commit, one.file("web/site.conf")], [good, "one"]);
  assert.match(one.metrics(), /git_config_failed\{name="site"\} 1/);
});

test("killed at any moment, it leaves one version or the other, and the next run completes", () => {
  const one = site("killed");
  one.commit("0", { "web/site.conf": "0" });
  one.run();
  for (let i = 1; i <= 12; i++) {
    const wanted = one.commit(String(i), { "web/site.conf": String(i), "web/other.conf": String(i) });
    one.run(20 + 25 * i);
    const found = one.file("web/site.conf");
    assert.ok(found === String(i) || found === String(i - 1), `${found} of ${i}`);
    assert.ok(found === "0" || one.file("web/other.conf") === found, "both files are of one version");
    const run = one.run();
    assert.equal(run.code, 0, run.said);
    assert.deepEqual([one.state().applied?.commit, one.file("web/site.conf")], [wanted, String(i)]);
  }
});

test("over https, with a token: the server is known by its certificate, and its death changes nothing", async () => {
  const certificate = join(top, "certificate.pem");
  const about = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  const names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
  execFileSync("openssl", ["req", ...about, ...names, "-keyout", `${certificate}.key`, "-out", certificate], {
    stdio: "pipe",
  });
  const server = await startGitServer(join(top, "served"), certificate, "machine:what only machines know");
  try {
    const token = { user: "machine", secret: secret("git-token") };
    const repository = `https://127.0.0.1:${server.port}/sources/.git`;
    const one = site("served", { repository, token, authority: certificate, allowedSigners: [] });
    const first = one.commit("first", { "web/site.conf": "one" });
    one.secret("git-token", "of nothing");
    assert.equal(one.run().code, 0);
    assert.match(String(one.state().failed?.why), /cannot fetch/);
    assert.equal(one.state().applied, null);
    one.secret("git-token", "what only machines know");
    const run = one.run();
    assert.deepEqual([run.code, one.state().applied?.commit, one.file("web/site.conf")], [0, first, "one"], run.said);
    server.stop();
    assert.equal(one.run().code, 0);
    assert.equal(one.file("web/site.conf"), "one");
    const kept = spawnSync("grep", ["-rlF", "only machines know", one.base], { encoding: "utf8" });
    assert.deepEqual([kept.status, kept.stdout], [1, ""], "the token is kept nowhere");
  } finally {
    server.stop();
  }
});

test("a token is named in the settings and handed over by systemd; what makes no sense is told at once", () => {
  const token = secret("git-token");
  const good = { name: "site", repository: "https://git.example.org/site.git", branch: "main", parts: [] };
  const { files, secrets, packages } = lowered({ ...good, token: { user: "machine", secret: token } });
  assert.deepEqual(secrets, ["git-token"]);
  assert.ok(packages.some(({ name }) => name === "git"));
  const texts = files.flatMap((file) => (file.kind === "file" ? [{ path: file.path, text: file.text }] : []));
  const settings = texts.find(({ path }) => path.endsWith("-git-config-site.json"));
  assert.equal(JSON.parse(settings!.text).token, "git-token");
  assert.ok(
    texts.some(({ path, text }) => path.includes("git-config-site.service") && /^LoadCredential=git-token/m.test(text)),
  );
  const refused = (changes: Partial<GitConfigOptions>, ...words: RegExp[]) =>
    assert.throws(
      () => lowered({ ...good, ...changes }),
      (error: unknown) => error instanceof MesoError && words.every((word) => word.test(error.message)),
      String(words),
    );
  refused({ repository: "http://git.example.org/site.git" }, /nothing else vouches/);
  refused({ repository: "https://me:secret@git.example.org/site.git" }, /the user and a secret in token/);
  refused({ repository: "git@example.org:site.git" }, /begins with https/);
  refused({ repository: "ssh://git@example.org/site.git" }, /private key/, /known_hosts/);
  refused(
    { branch: "--upload-pack=x", folder: "../x", parts: [{ path: "/etc", units: [] }] },
    /branch/,
    /folder/,
    /parts/,
  );
});

/** Git's own server behind a small one for https, in a process of its own: the tests wait for others in theirs. */
async function startGitServer(root: string, certificate: string, login: string) {
  const script = join(top, "server.mjs");
  writeFileSync(
    script,
    `import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
const [root, certificate, login] = process.argv.slice(2);
const server = createServer({ key: readFileSync(certificate + ".key"), cert: readFileSync(certificate) }, (request, response) => {
  if (request.headers.authorization !== "Basic " + Buffer.from(login).toString("base64")) {
    response.writeHead(401, { "WWW-Authenticate": 'Basic realm="git"' }).end();
    return;
  }
  const url = new URL(request.url, "https://x");
  const backend = spawn("git", ["-c", "safe.directory=*", "http-backend"], { env: {
    PATH: process.env.PATH, GIT_PROJECT_ROOT: root, GIT_HTTP_EXPORT_ALL: "1", PATH_INFO: url.pathname, GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_KEY_0: "safe.directory", GIT_CONFIG_VALUE_0: "*", QUERY_STRING: url.search.slice(1),
    REQUEST_METHOD: request.method, CONTENT_TYPE: request.headers["content-type"] ?? "",
    HTTP_CONTENT_ENCODING: request.headers["content-encoding"] ?? "", GIT_PROTOCOL: request.headers["git-protocol"] ?? "",
  } });
  request.pipe(backend.stdin);
  const pieces = [];
  backend.stdout.on("data", (piece) => pieces.push(piece)).on("end", () => {
    const all = Buffer.concat(pieces);
    const end = all.indexOf("\\r\\n\\r\\n");
    const headers = Object.fromEntries(all.subarray(0, end).toString().split("\\r\\n").map((line) => line.split(": ", 2)));
    const status = Number.parseInt(headers.Status ?? "200");
    delete headers.Status;
    response.writeHead(status, headers).end(all.subarray(end + 4));
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
`,
  );
  const child = spawn(process.execPath, [script, root, certificate, login], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return { port: Number(line.toString()), stop: () => void child.kill() };
}
