import assert from "node:assert/strict";
import { test } from "node:test";
import { type AgentCall, agentVerbs } from "./agent-verbs.ts";

const settings = { timeScale: 1, pieceBytes: 4 };

test("agent verbs: a machine that answers nonsense is refused, and never waited for", async () => {
  const nothing = agentVerbs(async () => undefined, settings);
  await assert.rejects(nothing.exec(["/bin/true"]), { code: "agent-refused" });
  await assert.rejects(nothing.readFile("/x"), { code: "agent-refused" });
  await assert.rejects(nothing.writeFile("/x", Buffer.from("abc")), { code: "agent-refused" });
  const liar = (answers: Readonly<Record<string, unknown>>) =>
    agentVerbs(async (execute) => answers[execute] ?? {}, settings);
  const endless = liar({ "guest-file-read": { "buf-b64": "", eof: false } });
  await assert.rejects(endless.readFile("/x"), /nothing, before the end of the file/);
  for (const count of [0, -1, 5, Number.NaN]) {
    const stuck = liar({ "guest-file-write": { count } });
    await assert.rejects(stuck.writeFile("/x", Buffer.from("abc")), /answered to have written/);
  }
  const longest = agentVerbs(
    async (execute) => (execute === "guest-file-read" ? { "buf-b64": huge, eof: false } : {}),
    settings,
  );
  await assert.rejects(longest.readFile("/x"), /is longer than/);
});

const huge = Buffer.alloc(90 << 20).toString("base64");

test("agent verbs: files go in pieces, and are closed when a piece fails", async () => {
  const asked: [string, object | undefined][] = [];
  const verbs = agentVerbs(async (execute, args) => {
    asked.push([execute, args]);
    if (execute === "guest-file-open") return 7;
    if (execute !== "guest-file-write") return {};
    if (asked.length > 3) throw new Error("the line is cut");
    return { count: 3 };
  }, settings);
  await assert.rejects(verbs.writeFile("/x", Buffer.from("abcdefgh")), /the line is cut/);
  assert.deepEqual(asked, [
    ["guest-file-open", { path: "/x", mode: "w" }],
    ["guest-file-write", { handle: 7, "buf-b64": Buffer.from("abcd").toString("base64") }],
    ["guest-file-write", { handle: 7, "buf-b64": Buffer.from("defg").toString("base64") }],
    ["guest-file-write", { handle: 7, "buf-b64": Buffer.from("gh").toString("base64") }],
    ["guest-file-close", { handle: 7 }],
  ]);
});

test("agent verbs: a command that does not end is given up, its arguments are not told; signals are ends", async () => {
  const call =
    (status: object): AgentCall =>
    async (execute) =>
      execute === "guest-exec" ? { pid: 3 } : status;
  const start = performance.now();
  await assert.rejects(
    agentVerbs(call({ exited: false }), settings).exec(["/bin/x", "s3cret"], { deadline: 0.1 }),
    (error: Error) => "code" in error && error.code === "guest-timeout" && !error.message.includes("s3cret"),
  );
  assert.ok(performance.now() - start < 2000);
  const killed = agentVerbs(call({ exited: true, signal: 9, "out-data": 17 }), settings);
  assert.deepEqual(await killed.exec(["/bin/x"]), { exitCode: 137, stdout: "", stderr: "" });
  const chatty = agentVerbs(call({ exited: true, exitcode: 0, "out-truncated": true }), settings);
  await assert.rejects(chatty.exec(["/bin/x"]), /says more than the guest agent keeps/);
});
