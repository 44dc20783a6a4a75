import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { secret } from "../language/places.ts";
import { secretValue } from "./secret-value.ts";

const home = mkdtempSync(join(tmpdir(), "meso-secrets-"));
after(() => rmSync(home, { recursive: true, force: true }));
mkdirSync(join(home, ".config/meso/secrets"), { recursive: true });
const file = join(home, ".config/meso/secrets/pve-token");
writeFileSync(file, "from the file\n", { mode: 0o600 });

test("the environment comes before the file", () => {
  const token = secret("pve-token");
  assert.equal(secretValue(token, { env: { HOME: home, MESO_SECRET_PVE_TOKEN: "given" } }), "given");
  assert.equal(secretValue(token, { env: { HOME: home } }), "from the file");
  assert.equal(secretValue(token, { env: { XDG_CONFIG_HOME: join(home, ".config") } }), "from the file");
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
    code(() => secretValue(secret("other"), { env: { HOME: home } })),
    "no-secret",
  );
  assert.equal(
    code(() => secretValue(secret("other"), { env: {} })),
    "no-secret",
  );
  writeFileSync(join(home, ".config/meso/secrets/empty"), "\n", { mode: 0o600 });
  assert.equal(
    code(() => secretValue(secret("empty"), { env: { HOME: home } })),
    "no-secret",
  );
  chmodSync(file, 0o640);
  assert.equal(
    code(() => secretValue(secret("pve-token"), { env: { HOME: home } })),
    "open-secret",
  );
  chmodSync(file, 0o600);
});
