import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { failure, MesoError } from "../base/error.ts";
import { sha256 } from "../base/hash.ts";
import { withBuildPlace as withPlace } from "./build-place.testing.ts";
import type { Builtin } from "./builtin.ts";
import { checkReproducible, realise } from "./realise.ts";

const code = (expected: string) => (error: unknown) => error instanceof MesoError && error.code === expected;

test("a graph is built in the order of its needs, once, and what came out is known", () =>
  withPlace(async ({ store, items, script, outputOf }) => {
    const base = await script("base", "echo base > $out");
    const sides = await Promise.all(
      ["left", "right"].map((name) =>
        script(name, `cat ${outputOf(base)} > $out; echo ${outputOf(base)} >> $out; sleep 0.1`, {
          inputDerivations: new Map([[base, ["out"]]]),
        }),
      ),
    );
    const top = await script(
      "top",
      `mkdir $out $dev; cat ${sides.map((side) => outputOf(side)).join(" ")} > $out/all`,
      {
        outputs: new Map([
          ["out", { path: "" }],
          ["dev", { path: "" }],
        ]),
        inputDerivations: new Map(sides.map((side) => [side, ["out"]])),
      },
    );
    // Two at once, as two processes would: every build is done by one of them.
    const runs = await Promise.all([1, 2].map(() => realise(store, items, [top], { parallel: 2 })));
    assert.deepEqual(
      runs
        .flat()
        .map(({ derivation }) => derivation)
        .sort(),
      [base, ...sides, top].sort(),
    );
    const record = items.record(outputOf(top))!;
    assert.deepEqual([record.references, record.deriver], [[outputOf(base)], top]);
    assert.ok(items.record(outputOf(top, "dev")));
    assert.match(readFileSync(join(items.physicalPath(outputOf(top)), "all"), "utf8"), /^base\n/);
    assert.deepEqual(items.verify(), []);
    assert.deepEqual(await realise(store, items, [top]), []);
    assert.deepEqual(readdirSync(join(store.directory, "tmp")), []);
  }));

test("builds see no network and no home, and leave neither strays nor setuid files", () =>
  withPlace(async ({ store, items, folder, script, outputOf }) => {
    const looks = await script(
      "looks",
      `cat /proc/net/dev > $out; ls / >> $out; ls ${folder} /root /home 2>> $out || true`,
    );
    await realise(store, items, [looks]);
    const seen = readFileSync(items.physicalPath(outputOf(looks)), "utf8");
    assert.ok(!/eth|ens|enp|wlan/.test(seen) && !/^(root|home)$/m.test(seen), seen);
    assert.equal(seen.match(/No such file/g)?.length, 3, seen);
    const stray = await script("stray", "echo x > $out; echo y > /meso/store/stray");
    await assert.rejects(realise(store, items, [stray]), /wrote \/meso\/store\/stray/);
    const spoils = await script("spoils", "echo x > $out; echo y > $sandboxRoot/usr/bin/cat");
    await assert.rejects(realise(store, items, [spoils]), /Read-only file system/);
    const setuid = await script("setuid", "echo x > $out; chmod 4755 $out");
    await assert.rejects(realise(store, items, [setuid]), /setuid/);
    const nothing = await script("nothing", "true");
    await assert.rejects(realise(store, items, [nothing]), /did not make/);
    for (const path of [stray, spoils, setuid, nothing]) assert.equal(items.record(outputOf(path)), undefined);
    assert.deepEqual(items.verify(), []);
  }));

test("a failure tells the last lines, the log, and how to enter what was kept", () =>
  withPlace(async ({ store, items, script }) => {
    const fails = await script("fails", "echo kept > file; echo reason why >&2; exit 3");
    const needs = await script("needs", "echo > $out", { inputDerivations: new Map([[fails, ["out"]]]) });
    await assert.rejects(realise(store, items, [needs], { keepFailed: true }), (error: MesoError) => {
      assert.match(error.message, /fails.drv failed with exit code 3:\n {2}\| reason why/);
      const log = /the whole log: (\S+)/.exec(error.message)![1]!;
      assert.equal(readFileSync(log, "utf8"), "reason why\n");
      const enter = /where it failed: (\S+)/.exec(error.message)![1]!;
      const inside = spawnSync(enter, ["-c", "cat /build/file"], { encoding: "utf8" });
      assert.equal(inside.stdout, "kept\n", inside.stderr);
      return true;
    });
    const slow = await script("slow", "sleep 60");
    await assert.rejects(realise(store, items, [slow], { timeoutSeconds: 0.5 }), code("build-timeout"));
  }));

test("what depends on the time or the number of processors is told when it is built again", () =>
  withPlace(async ({ store, items, script }) => {
    await checkReproducible(store, items, await script("steady", "mkdir $out; echo same > $out/file"));
    const clock = await script("clock", "mkdir $out; date +%N > $out/file");
    await assert.rejects(checkReproducible(store, items, clock), /otherwise when it is built again: file: from byte/);
    // A machine with one processor cannot tell.
    const cores = await script("cores", "nproc > $out");
    const check = checkReproducible(store, items, cores);
    if (spawnSync("nproc", { encoding: "utf8" }).stdout.trim() === "1") await check;
    else await assert.rejects(check, code("not-reproducible"));
  }));

test("an output that is fixed must be what was said", () =>
  withPlace(async ({ store, items, script, outputOf }) => {
    const fixed = (text: string) =>
      new Map([["out", { path: "", fixed: { recursive: false, algorithm: "sha256", digest: sha256(text) } }]]);
    const right = await script("fixed", "echo hello > $out", { outputs: fixed("hello\n") });
    await realise(store, items, [right]);
    const wrong = await script("wrong", "echo hello > $out", { outputs: fixed("other\n") });
    await assert.rejects(realise(store, items, [wrong]), code("hash-mismatch"));
    assert.ok(items.record(outputOf(right)) && !items.record(outputOf(wrong)));
  }));

test("a builder that is part of the program makes outputs like any other, which are judged like any other", () =>
  withPlace(async ({ store, items, script, outputOf }) => {
    const hello: Builtin = async ({ place, say }) => {
      say("greeting");
      writeFileSync(place("out"), "hello\n");
    };
    const refuses: Builtin = () => Promise.reject(failure("refused", "no"));
    const builtins = new Map(Object.entries({ hello, refuses }));
    const outputs = (text: string) =>
      new Map([["out", { path: "", fixed: { recursive: false, algorithm: "sha256", digest: sha256(text) } }]]);
    const right = await script("right", "", { builder: "builtin:hello", outputs: outputs("hello\n") });
    const [report] = await realise(store, items, [right], { builtins });
    assert.equal(readFileSync(report!.log, "utf8"), "greeting\n");
    assert.equal(readFileSync(items.physicalPath(outputOf(right)), "utf8"), "hello\n");
    const wrong = await script("wrong", "", { builder: "builtin:hello", outputs: outputs("other\n") });
    await assert.rejects(realise(store, items, [wrong], { builtins }), code("hash-mismatch"));
    const refused = await script("refuses", "", { builder: "builtin:refuses" });
    await assert.rejects(realise(store, items, [refused], { builtins }), /-refuses\.drv: no/);
    const unknown = await script("unknown", "", { builder: "builtin:unknown" });
    await assert.rejects(realise(store, items, [unknown], { builtins }), /expected: builtin:hello, builtin:refuses/);
    assert.deepEqual(readdirSync(join(store.directory, "tmp")), []);
  }));

test("without bubblewrap nothing is built, and the error names the package", () =>
  withPlace(async ({ store, items, folder, script }) => {
    const path = await script("any", "echo > $out");
    const before = process.env.PATH;
    process.env.PATH = folder;
    try {
      await assert.rejects(realise(store, items, [path]), /apt-get install bubblewrap/);
    } finally {
      process.env.PATH = before;
    }
  }));
