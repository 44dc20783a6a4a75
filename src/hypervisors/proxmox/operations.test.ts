import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { operationTypes } from "./schema.testing.ts";

test("the types of operations are those of the schema", () => {
  const file = new URL("operations.ts", import.meta.url);
  if (process.env.MESO_UPDATE_DOCS) writeFileSync(file, operationTypes());
  assert.equal(readFileSync(file, "utf8"), operationTypes());
  assert.ok(statSync(new URL("schema.json", import.meta.url)).size < 100_000, "only what is used");
});
