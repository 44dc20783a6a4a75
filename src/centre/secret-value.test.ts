import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type Secret, secret } from "../language/secret.ts";
import { text } from "../language/text.ts";
import { secretValue } from "./secret-value.ts";

const home = mkdtempSync(join(tmpdir(), "meso-secrets-"));
after(() => rmSync(home, { recursive: true, force: true }));
mkdirSync(join(home, ".config/meso/secrets"), { recursive: true });
const file = join(home, ".config/meso/secrets/pve-token");
writeFileSync(file, "from the file\n", { mode: 0o600 });

const found = (one: Secret, { env }: { env: Readonly<Record<string, string>> }): string =>
  secretValue(one, { env, folder: home });

test("the environment comes before the file", () => {
  const token = secret("pve-token");
  assert.equal(found(token, { env: { HOME: home, MESO_SECRET_PVE_TOKEN: "given" } }), "given");
  assert.equal(found(token, { env: { HOME: home } }), "from the file");
  assert.equal(found(token, { env: { XDG_CONFIG_HOME: join(home, ".config") } }), "from the file");
});

test("a secret that is missing, empty or open to others is told, never shown", () => {
  const code = (run: () => unknown): string => {
    try {
      run();
    } catch (error) {
      assert.ok(!(error as Error).message.includes("from the file"));
      return (error as { code: string }).code;
    }
    return "none";
  };
  assert.equal(
    code(() => found(secret("other"), { env: { HOME: home } })),
    "no-secret",
  );
  assert.equal(
    code(() => found(secret("other"), { env: {} })),
    "no-secret",
  );
  writeFileSync(join(home, ".config/meso/secrets/empty"), "\n", { mode: 0o600 });
  assert.equal(
    code(() => found(secret("empty"), { env: { HOME: home } })),
    "no-secret",
  );
  chmodSync(file, 0o640);
  assert.equal(
    code(() => found(secret("pve-token"), { env: { HOME: home } })),
    "open-secret",
  );
  chmodSync(file, 0o600);
});

test("a secret may be in a variable, a file, what a command says, or encrypted by age", () => {
  const env = { HOME: home, PATH: process.env.PATH ?? "", MUNGE: "from a variable" };
  assert.equal(found(secret("a", { environment: "MUNGE" }), { env }), "from a variable");
  assert.equal(found(secret("a", { file: "~/.config/meso/secrets/pve-token" }), { env }), "from the file");
  assert.equal(found(secret("a", { file: ".config/meso/secrets/pve-token" }), { env }), "from the file");
  assert.equal(found(secret("a", { command: ["echo", "a;b $c"] }), { env }), "a;b $c");

  const key = join(home, ".config/meso/age-key.txt");
  execFileSync("age-keygen", ["--output", key], { stdio: "ignore" });
  const recipient = execFileSync("age-keygen", ["-y", key], { encoding: "utf8" }).trim();
  execFileSync("age", ["--recipient", recipient, "--output", join(home, "munge.age")], { input: "encrypted\n" });
  assert.equal(found(secret("a", { age: "munge.age" }), { env }), "encrypted");
  assert.equal(found(secret("a", { age: "munge.age", identity: key }), { env }), "encrypted");
  chmodSync(key, 0o644);
  assert.throws(() => found(secret("a", { age: "munge.age" }), { env }), { code: "open-secret" });
});

test("what cannot be had is told without what was had of it", () => {
  const env = { HOME: home, PATH: process.env.PATH ?? "" };
  const refused = (one: Secret, words: RegExp) =>
    assert.throws(
      () => found(one, { env }),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, "no-secret");
        assert.match(error.message, words);
        assert.doesNotMatch(error.message, /half of it/);
        return true;
      },
    );
  refused(secret("a", { environment: "NOT_THERE" }), /the variable NOT_THERE/);
  refused(secret("a", { file: "nowhere" }), /nowhere/);
  refused(secret("a", { command: ["nobody-has-this"] }), /nobody-has-this is not installed/);
  refused(
    secret("a", { command: ["sh", "-c", "echo half of it; echo locked >&2; exit 3"] }),
    /sh ended with 3[\s\S]*locked/,
  );
});

test("a secret is not written into text, and is no part of JSON", () => {
  const token = secret("pve-token");
  assert.throws(() => `${token}`, { code: "secret-in-text" });
  assert.throws(() => JSON.stringify({ token }), { code: "secret-in-text" });
  assert.throws(() => text`token=${token as never}`, { code: "not-text" });
});
