import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { sha256 } from "../base/hash.ts";
import type { PreparedSystem } from "../build/prepare.ts";
import type { SecretSource } from "../language/secret.ts";
import { simulatedSecret } from "../simulation/simulated-hands.ts";
import { smallCentre } from "../simulation/small-centre.testing.ts";
import type { DeployEvent } from "./hands.ts";
import { lookUpSecrets } from "./machine-secrets.ts";

/** Systems as far as the places of their secrets go. */
function prepared(sources: Readonly<Record<string, Readonly<Record<string, SecretSource>>>>) {
  const systems = Object.entries(sources).map(([path, secretSources]) => {
    return [path, { manifest: { origins: { secretSources } } } as unknown as PreparedSystem] as const;
  });
  return { folder: tmpdir(), prepared: new Map(systems) };
}

const variable = (name: string): SecretSource => ({ kind: "environment", variable: name });

test("what machines need that are started is looked up, once each, and nothing else", async () => {
  const centre = smallCentre({
    web: { secrets: ["key"] },
    gate: { secrets: ["key", "own"] },
    idle: { secrets: ["x"] },
  });
  await centre.deploy({ only: ["idle"] });
  const plan = await centre.plan();
  // One command for both, which tells how often it ran.
  const counting: SecretSource = { kind: "command", command: ["sh", "-c", "date +%N"] };
  const at = prepared({ web: { key: counting }, gate: { key: counting, own: variable("OWN") }, idle: {} });
  const found = lookUpSecrets(plan, at, { env: { PATH: process.env.PATH ?? "", OWN: "mine" } });
  assert.deepEqual([...found.keys()].sort(), ["gate", "web"]);
  assert.deepEqual([...found.get("gate")!.keys()], ["key", "own"]);
  assert.equal(found.get("web")!.get("key"), found.get("gate")!.get("key"));
  assert.equal(found.get("gate")!.get("own"), "mine");
});

test("every secret that is missing is told, with who needs it and where it was looked for", async () => {
  const plan = await smallCentre({ web: { secrets: ["key", "own"] }, gate: { secrets: ["key"] } }).plan();
  const at = prepared({ web: { key: { kind: "usual" }, own: variable("OWN") }, gate: { key: { kind: "usual" } } });
  assert.throws(
    () => lookUpSecrets(plan, at, { env: { HOME: "/nowhere" } }),
    (error: Error & { code?: string }) => {
      assert.equal(error.code, "no-secret");
      assert.match(error.message, /the secret key is not there; needed by gate, web/);
      assert.match(error.message, /MESO_SECRET_KEY, or the file \/nowhere\/\.config\/meso\/secrets\/key/);
      assert.match(error.message, /the secret own is not there; needed by web[\s\S]*the variable OWN/);
      return true;
    },
  );
});

test("a machine has its secrets before it starts; those of the root before stay until the new one has proved itself", async () => {
  const centre = smallCentre({ web: { secrets: ["old", "shared"] } });
  const given = () => [...centre.machine("web").credentials.keys()].sort();
  const atStart: string[][] = [];
  centre.world.watchers.push(({ verb }) => void (verb === "power-on" && atStart.push(given())));
  const events: DeployEvent[] = [];
  const run = async (changes: Parameters<typeof centre.change>[1]) => {
    centre.change("web", changes);
    const plan = await centre.plan();
    const outcome = await centre.execute(plan, {
      ...centre.hands(),
      report: (event) => void events.push(event),
    });
    said.push(plan, outcome);
    return outcome.result;
  };
  const said: unknown[] = [];
  assert.equal(await run({}), "done");
  assert.deepEqual([atStart, given()], [[["old", "shared"]], ["old", "shared"]]);

  const broken = sha256("broken");
  centre.behave(broken, { passesChecks: false });
  assert.equal(await run({ systemHash: broken, secrets: ["new", "shared"] }), "rolled-back");
  assert.deepEqual(given(), ["new", "old", "shared"], "the older root came back to what it had");
  assert.equal(await run({ systemHash: sha256("good") }), "done");
  assert.deepEqual(given(), ["new", "shared"]);

  const pool = centre.hands().pool;
  said.push(events, await centre.wait(pool.journal()), await centre.wait(pool.list()));
  const text = JSON.stringify(said);
  assert.ok(text.includes('"secrets":["new","shared"]'), "plans tell names");
  for (const name of ["old", "new", "shared"]) assert.ok(!text.includes(simulatedSecret(name)), name);
});
