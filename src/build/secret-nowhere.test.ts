import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { runMeso } from "../test-support/meso-process.ts";
import { freshSession, testCacheFolder } from "../test-support/test-session.ts";

const session = freshSession();
const folder = mkdtempSync(join(testCacheFolder(), "secret-"));
after(() => {
  session.remove();
  rmSync(folder, { recursive: true, force: true });
});

const program = `
import { baseFileSystems, baseServices, credentials, fileSystem, label, operatingSystem, secret, secretFile, secretFiles,
  simpleService, systemdUnits, unit } from "mesoforge";

const common = secret("common-secret");
const own = secret("own-secret", { file: "own" });
export default operatingSystem({
  hostName: "needs",
  fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" }), ...baseFileSystems],
  services: [
    ...baseServices,
    simpleService("unit", systemdUnits, [unit({ name: "needs.service", text: "[Service]\\nExecStart=/bin/true\\n" })]),
    simpleService("common", credentials, [{ secret: common, units: ["needs.service"] }]),
    simpleService("own", secretFiles, [
      secretFile({ path: "/run/needs.conf", content: "pass=@OWN@\\n", secrets: { OWN: own }, units: ["needs.service"] }),
    ]),
  ],
});
`;

test("no item of the store, no image and no word of a build holds a secret's bytes, though they were at hand", async () => {
  const values = ["7f0c-common-value-93ab", "41d8-own-value-e6c2"];
  const settings = join(folder, "settings/meso/secrets");
  mkdirSync(settings, { recursive: true });
  writeFileSync(join(settings, "common-secret"), values[0]!, { mode: 0o600 });
  writeFileSync(join(folder, "own"), values[1]!, { mode: 0o600 });
  writeFileSync(join(folder, "needs.ts"), program);
  const output = join(folder, "needs.qcow2");
  const store = session.store.directory;
  const args = ["system", "image", "--json", "--lock", session.lockFile, "--format", "qcow2", "-o", output];
  const built = await runMeso([...args, join(folder, "needs.ts")], {
    store,
    env: { XDG_CONFIG_HOME: join(folder, "settings"), MESO_SECRET_COMMON_SECRET: values[0], OWN: values[1] },
  });
  assert.equal(built.code, 0, built.stderr);
  // What is shared with other tests is linked, and not followed.
  const holding = (word: string) =>
    spawnSync("grep", ["-rlaF", "--", word, store, output], { encoding: "utf8" }).stdout.trim();
  for (const word of [values[0]!, values[1]!, "common-value", "own-value"]) {
    assert.equal(holding(word), "", word);
    assert.ok(!(built.stdout + built.stderr).includes(word));
  }
  assert.match(holding("common-secret"), /needs\.qcow2/, "names are in the image, and this search finds them");
});
