import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { ownerTag } from "./owner.ts";
import { memoryFolder } from "./scratch.ts";

describe("scratch in memory", () => {
  let shared: string;
  let own: string;
  beforeEach(() => {
    shared = mkdtempSync(join(tmpdir(), "meso-scratch-"));
    own = join(shared, `meso-${process.getuid!()}`);
  });
  afterEach(() => rmSync(shared, { recursive: true, force: true }));

  it("is a folder that nobody else can look into", () => {
    assert.equal(memoryFolder(1000, shared), own);
    assert.ok(existsSync(own));
  });

  it("is refused for much, and where there is no such place", () => {
    assert.equal(memoryFolder(2 ** 40, shared), undefined);
    assert.equal(memoryFolder(1000, join(shared, "missing")), undefined);
  });

  it("is refused when somebody prepared the name: open to others, a link, a file", () => {
    mkdirSync(own);
    chmodSync(own, 0o777);
    assert.equal(memoryFolder(1000, shared), undefined);
    rmSync(own, { recursive: true });
    symlinkSync(tmpdir(), own);
    assert.equal(memoryFolder(1000, shared), undefined);
    rmSync(own);
    writeFileSync(own, "");
    assert.equal(memoryFolder(1000, shared), undefined);
  });

  it("is swept of what dead processes left, and of nothing else", () => {
    mkdirSync(own, { mode: 0o700 });
    const [boot, namespace] = ownerTag().split("-");
    const dead = join(own, `${boot}-${namespace}-999999999-1.0`);
    const living = join(own, `${ownerTag()}.7`);
    for (const folder of [dead, living]) mkdirSync(folder);
    memoryFolder(1000, shared);
    assert.deepEqual([existsSync(dead), existsSync(living)], [false, true]);
  });
});
