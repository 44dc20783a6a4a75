import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { trivial } from "../packages/build-system.ts";
import { packageBuiltins } from "../packages/builtins/index.ts";
import { sourcePackage } from "../packages/source-package.ts";
import { checkReproducible, realise } from "../store/realise.ts";
import { testSession } from "../test-support/test-session.ts";
import { preparePackages } from "./package-graph.ts";

/** Builds a package of one script twice, the second time on one processor. Gives what it wrote. */
async function built(name: string, script: string): Promise<string> {
  const session = testSession();
  const pkg = sourcePackage({ name, version: "1", source: undefined, buildSystem: trivial(script) });
  const { items, nodes } = await preparePackages(session, [pkg]);
  const node = nodes.get(pkg)!;
  const options = { builtins: packageBuiltins, parallel: 2 };
  await realise(session.store, items, [node.path], options);
  await checkReproducible(session.store, items, node.path, options);
  return readFileSync(items.physicalPath(node.out()), "utf8");
}

test("a package is built by Debian's tools, unpacked by the seed, and sees neither network nor home", async () => {
  const seen = await built(
    "looks",
    `(awk 'NR > 2 { print $1 }' /proc/net/dev; id -un; echo $HOME; ls -A $HOME /home /root) > $out 2>&1 || true`,
  );
  // The folders that Debian's base-files ships, with nothing of this machine in them.
  assert.equal(seen.replaceAll(" ", ""), "lo:\nbuild\n/tmp\n/home:\n\n/root:\n\n/tmp:\n");
  const socket = await built(
    "calls",
    `if perl -MIO::Socket::INET -e 'IO::Socket::INET->new(PeerAddr => "192.0.2.1:80", Timeout => 3) or die'; then echo open > $out; else echo closed > $out; fi`,
  );
  assert.equal(socket, "closed\n");
});

test("what escapes, or depends on the time or the number of processors, is no package", async () => {
  await assert.rejects(built("strays", "echo > $out; echo > /meso/store/stray"), /wrote \/meso\/store\/stray/);
  await assert.rejects(built("spoils", "echo > $out; echo > /usr/bin/spoilt"), /Read-only file system/);
  await assert.rejects(built("lends", "echo > $out; chmod 4755 $out"), /setuid/);
  await assert.rejects(built("clock", "date +%N > $out"), /otherwise when it is built again/);
  if (spawnSync("nproc", { encoding: "utf8" }).stdout.trim() !== "1") {
    await assert.rejects(built("counts", "nproc > $out"), /otherwise when it is built again/);
  }
});
