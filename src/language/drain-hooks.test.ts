import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { balancerWeight, slurmDrain } from "./places.ts";

test("a node of Slurm is drained, and waited for until its jobs have ended; a refusal is not waited for", () => {
  const folder = mkdtempSync(join(tmpdir(), "meso-drain-"));
  const program = (name: string, text: string) =>
    writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  const { on, before, after, deadlineSeconds } = slurmDrain({ controller: "ctld", node: "worker-1" });
  const run = () =>
    spawnSync(before[0]!, before.slice(1), { env: { PATH: `${folder}:/usr/bin:/bin` }, cwd: folder, timeout: 20_000 });
  try {
    assert.deepEqual([on, deadlineSeconds], ["ctld", 3600]);
    assert.deepEqual(after, ["/usr/bin/scontrol", "update", "nodename=worker-1", "state=resume"]);
    program("scontrol", 'echo "$*" > asked');
    // Its jobs end between the first look and the second.
    program("sinfo", 'echo "$*" >> looked; [ $(wc -l < looked) -gt 1 ] && echo drained || echo draining');
    assert.equal(run().status, 0);
    assert.equal(
      readFileSync(join(folder, "asked"), "utf8"),
      "update nodename=worker-1 state=drain reason=mesoforge\n",
    );
    assert.equal(readFileSync(join(folder, "looked"), "utf8"), "-h -n worker-1 -o %T\n".repeat(2));
    // Down as well as drained: nothing runs there.
    program("sinfo", "echo 'drained*'");
    assert.equal(run().status, 0);
    rmSync(join(folder, "looked"));
    program("sinfo", "echo > looked");
    program("scontrol", "exit 1");
    assert.equal(run().status, 1);
    assert.ok(!existsSync(join(folder, "looked")), "what was refused is not waited for");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("a weight goes to zero and comes back, and packets reach the server as they did", () => {
  const web = { balancer: "gate", service: "10.0.0.1:443", server: "10.0.0.11:443", weight: 7 };
  const words = ({ before, after }: ReturnType<typeof balancerWeight>) => [before.join(" "), after.join(" ")];
  const edit = "/usr/sbin/ipvsadm --edit-server --tcp-service 10.0.0.1:443 --real-server 10.0.0.11:443";
  assert.deepEqual(words(balancerWeight(web)), [`${edit} --gatewaying --weight 0`, `${edit} --gatewaying --weight 7`]);
  const translated = balancerWeight({ ...web, forwarding: "masquerading" });
  assert.deepEqual(words(translated), [`${edit} --masquerading --weight 0`, `${edit} --masquerading --weight 7`]);
  assert.match(words(balancerWeight({ ...web, forwarding: "tunnelling" }))[0]!, / --ipip --weight 0$/);
  assert.deepEqual([translated.on, translated.deadlineSeconds], ["gate", 60]);
});
