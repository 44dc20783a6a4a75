import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { MesoError } from "../base/error.ts";
import { openBinaryCache } from "./binary-cache.ts";
import { withBuildPlace } from "./build-place.testing.ts";
import { collect } from "./collect.ts";
import { copyToFolder } from "./copy-items.ts";
import { openItems } from "./items.ts";
import { makeCacheKey, readPublicKey } from "./narinfo.ts";
import { realise } from "./realise.ts";
import { openStore } from "./store.ts";
import { createSubstituter } from "./substitute.ts";

const code = (expected: string) => (error: unknown) => error instanceof MesoError && error.code === expected;
const twoOutputs = () => ({
  outputs: new Map([
    ["out", { path: "" }],
    ["dev", { path: "" }],
  ]),
});

test("what a cache has is fetched, with what it needs and no more; what it has not is built", () =>
  withBuildPlace(async ({ store, items, folder, script, outputOf }) => {
    const tool = await script("tool", "echo tool > $out");
    const library = await script("library", `cat ${outputOf(tool)} > $out`, {
      inputDerivations: new Map([[tool, ["out"]]]),
    });
    const program = await script("program", `echo ${outputOf(library)} > $out`, {
      inputDerivations: new Map([[library, ["out"]]]),
    });
    const top = await script("top", `cat ${outputOf(program)} > $out`, {
      inputDerivations: new Map([[program, ["out"]]]),
    });
    await realise(store, items, [top]);
    const key = makeCacheKey("test-1", Buffer.alloc(32, 7));
    const cache = join(folder, "cache");
    const packing = { compression: "zstd", parallel: 1, secretKey: key.secret } as const;
    await copyToFolder(items, [outputOf(program)], cache, packing);

    // Another store, with the derivations and none of the outputs.
    const otherStore = openStore(join(folder, "other"));
    const other = openItems(otherStore);
    await copyToFolder(items, [top], cache, packing);
    rmSync(join(cache, `${basename(outputOf(top)).slice(0, 32)}.narinfo`), { force: true });
    const { substitute } = createSubstituter(otherStore, other, [openBinaryCache(cache, [readPublicKey(key.public)])]);
    assert.deepEqual(await substitute([top]), []);
    const reports = await realise(otherStore, other, [top], { substitute });
    assert.deepEqual(
      reports.map(({ derivation }) => derivation),
      [top],
    );
    assert.equal(other.record(outputOf(program))!.deriver, program);
    assert.ok(other.record(outputOf(library)), "the program needs it");
    assert.equal(other.record(outputOf(tool)), undefined);
    assert.deepEqual(other.verify(), []);
  }));

test("outputs of one build become valid together, though the process dies between them", () =>
  withBuildPlace(async ({ store, items, script, outputOf }) => {
    const both = await script("both", `echo ${"$dev"} > $out; echo dev > $dev`, twoOutputs());
    await realise(store, items, [both]);
    const [out, dev] = [outputOf(both), outputOf(both, "dev")];
    const recordFile = (path: string) => join(store.directory, "records", basename(path));
    const records = [dev, out].map((path) => items.record(path)!);
    const restore = () => {
      // As a process leaves it that dies when it has decided, and before all records are there.
      mkdirSync(join(store.directory, "pending"), { recursive: true });
      const first = [dev, out].map((path) => basename(path)).sort()[0]!;
      writeFileSync(join(store.directory, "pending", first), JSON.stringify(records));
      rmSync(recordFile(out));
    };
    restore();
    assert.equal(items.record(out), undefined);
    assert.deepEqual(await realise(store, items, [both]), [], "nothing is built again");
    assert.deepEqual(items.record(out), records[1]);
    assert.deepEqual(readdirSync(join(store.directory, "pending")), []);
    restore();
    store.release();
    const now = Math.floor(Date.now() / 1000);
    await collect(store, items, { now, graceSeconds: 60, unusedSeconds: 60 });
    assert.deepEqual(items.record(out), records[1]);
    // Of what is there no more, nothing becomes valid.
    restore();
    rmSync(items.physicalPath(out));
    await items.finishRegistration([{ path: out }, { path: dev }]);
    assert.equal(items.record(out), undefined);
    assert.ok(existsSync(items.physicalPath(dev)));
  }));

test("outputs that need each other are refused, and none of them is there", () =>
  withBuildPlace(async ({ store, items, script, outputOf }) => {
    const ring = await script("ring", "echo $dev > $out; echo $out > $dev", twoOutputs());
    await assert.rejects(realise(store, items, [ring]), code("reference-cycle"));
    for (const name of ["out", "dev"]) assert.equal(items.record(outputOf(ring, name)), undefined);
    assert.deepEqual(readdirSync(join(store.directory, "tmp")), []);
    assert.deepEqual(items.verify(), []);
  }));

test("a build that floods its log is ended; what it wrote last is shown", () =>
  withBuildPlace(async ({ store, items, script }) => {
    const floods = await script("floods", "while echo much too much; do :; done");
    const maxLogBytes = 1 << 20;
    await assert.rejects(realise(store, items, [floods], { maxLogBytes }), (error: MesoError) => {
      assert.match(error.message, /wrote more into its log than it may:\n {2}\| .*much too much/);
      const log = /the whole log: (\S+)/.exec(error.message)![1]!;
      assert.equal(statSync(log).size, maxLogBytes);
      return true;
    });
    const talks = await script("talks", "echo much > $out; cat /usr/bin/sh");
    const [report] = await realise(store, items, [talks], { maxLogBytes });
    assert.deepEqual(readFileSync(report!.log).subarray(1, 4).toString(), "ELF");
  }));
