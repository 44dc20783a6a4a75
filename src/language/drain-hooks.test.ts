import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { balancerWeight, slurmDrain } from "./places.ts";

test("a node of Slurm is drained, waited for until its jobs have ended, and resumed", (t) => {
  const { on, deadlineSeconds, run, answers, asked } = controller(t);
  assert.deepEqual([on, deadlineSeconds], ["ctld", 3600]);
  // Its jobs end between the second look and the third; it is in two partitions.
  answers(
    "sinfo",
    "case $(wc -l < asked) in 1) echo idle ;; 3) echo drained; echo draining ;; *) echo drained ;; esac",
  );
  answers("scontrol", "");
  assert.equal(run("before").status, 0);
  const look = "sinfo --noheader --nodes=worker-1 --format=%T";
  assert.deepEqual(asked(), [look, "scontrol update nodename=worker-1 state=drain reason=mesoforge", look, look]);
  answers("sinfo", "echo mesoforge");
  assert.equal(run("after").status, 0);
  assert.deepEqual(asked(), [
    "sinfo --noheader --nodes=worker-1 --format=%E",
    "scontrol update nodename=worker-1 state=resume",
  ]);
});

test("whoever drained a node of Slurm before keeps it; one that is down as well runs nothing", (t) => {
  const { run, answers, asked } = controller(t);
  answers("scontrol", "");
  answers("sinfo", "echo 'drained*'");
  assert.equal(run("before").status, 0);
  answers("sinfo", "echo broken memory of mesoforge");
  assert.equal(run("after").status, 0);
  assert.deepEqual(
    asked().filter((words) => words.startsWith("scontrol")),
    [],
  );
});

test("what Slurm refuses is not waited for", (t) => {
  const { run, answers, asked } = controller(t);
  answers("sinfo", "echo idle");
  answers("scontrol", "exit 1");
  assert.equal(run("before").status, 1);
  assert.equal(asked().length, 2);
  answers("sinfo", "exit 1");
  assert.equal(run("before").status, 1);
});

/** A host with programs of Slurm that write down what they are asked, and answer as is said. */
function controller(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), "meso-drain-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const hook = slurmDrain({ controller: "ctld", node: "worker-1" });
  return {
    ...hook,
    answers: (name: string, text: string) =>
      writeFileSync(join(folder, name), `#!/bin/sh\necho "${name} $*" >> asked\n${text}\n`, { mode: 0o755 }),
    run: (which: "before" | "after") => {
      const [program, ...words] = hook[which];
      return spawnSync(program!, words, { env: { PATH: `${folder}:/usr/bin:/bin` }, cwd: folder, timeout: 20_000 });
    },
    /** Since it was last looked at. */
    asked: () => {
      const lines = readFileSync(join(folder, "asked"), "utf8").trim().split("\n");
      rmSync(join(folder, "asked"));
      return lines;
    },
  };
}

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
