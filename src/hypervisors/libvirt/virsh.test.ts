import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { libvirtAgent } from "./libvirt-agent.ts";
import { libvirtDriver } from "./libvirt-driver.ts";
import { type Virsh, virsh } from "./virsh.ts";
import { virshFailure } from "./virsh-failure.ts";

let folder: string;
const path = process.env.PATH;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "meso-virsh-"));
  process.env.PATH = `${folder}:${path}`;
});
afterEach(() => {
  process.env.PATH = path;
  rmSync(folder, { recursive: true });
});

/** A virsh that does this, and notes with what it was called. */
function fake(script: string): Virsh {
  const file = join(folder, "virsh");
  writeFileSync(file, `#!/bin/sh\nprintf '%s\\n' "$@" >${folder}/arguments; env >${folder}/environment\n${script}\n`);
  chmodSync(file, 0o755);
  return virsh("qemu:///system");
}
const noted = (name: string) => readFileSync(join(folder, name), "utf8");

test("virsh: words of arguments stay words; the environment is fixed, a person's connection settings are kept", async () => {
  process.env.LIBVIRT_DEBUG = "1";
  process.env.SSH_AUTH_SOCK = "/agent";
  const said = await fake("cat; echo done").run(["define", "a b;'c'"], { input: "<domain/>" });
  assert.equal(said, "<domain/>done\n");
  assert.equal(noted("arguments"), "--quiet\n--connect\nqemu:///system\ndefine\na b;'c'\n");
  const environment = noted("environment").split("\n");
  for (const line of ["LC_ALL=C", "VIRSH_HISTSIZE=0", "SSH_AUTH_SOCK=/agent"])
    assert.ok(environment.includes(line), line);
  assert.ok(!environment.some((line) => line.startsWith("LIBVIRT_DEBUG=")));
  delete process.env.LIBVIRT_DEBUG;
  delete process.env.SSH_AUTH_SOCK;
});

test("virsh: an answer that does not come in time ends the process, and is told as what it is", async () => {
  const slow = fake("sleep 60");
  const start = performance.now();
  await assert.rejects(slow.run(["list"], { seconds: 0.2 }), { code: "hypervisor-unreachable" });
  await assert.rejects(slow.run(["start", "a"], { seconds: 0.2, changes: true }), { code: "unknown-outcome" });
  await assert.rejects(slow.run(["define"], { input: "x", seconds: 0.2, changes: true }), { code: "unknown-outcome" });
  assert.ok(performance.now() - start < 5000);
});

test("virsh: a flood is cut off; a missing virsh is named with its package", async () => {
  await assert.rejects(fake("exec yes").run(["list"], { seconds: 30 }), { code: "task-failed" });
  process.env.PATH = folder;
  rmSync(join(folder, "virsh"));
  await assert.rejects(virsh("qemu:///system").run(["list"]), /apt-get install libvirt-clients/);
  process.env.PATH = path;
});

test("virsh: several readings in one process are told apart, and so are their errors", async () => {
  // Gives each command back on its own stream, as the real one does with echo.
  const several = fake(`
    for last; do :; done
    printf '%s\\n' "$last" | tr ';' '\\n' | while read -r verb rest; do
      word=$(printf '%s' "$rest" | tr -d "'")
      case "$verb $rest" in
        "echo --err "*) echo "error: \${word#--err }" >&2 ;;
        "echo "*) printf '%s' "$word" ;;
        "'domstate' 'none'"*) echo "error: failed to get domain 'none'" >&2 ;;
        *) echo "$verb $rest" ;;
      esac
    done`);
  const [one, two, three] = await several.readAll([
    ["domstate", "a"],
    ["domstate", "none"],
    ["dumpxml", "b"],
  ]);
  assert.deepEqual(one, { text: "'domstate' 'a'\n" });
  assert.ok("error" in two! && two.error.code === "no-machine");
  assert.deepEqual(three, { text: "'dumpxml' 'b'\n" });
  assert.deepEqual(await several.readAll([]), []);
  const refused = fake("echo 'error: failed to connect to the hypervisor' >&2; exit 1");
  await assert.rejects(refused.readAll([["domstate", "a"]]), { code: "hypervisor-unreachable" });
  await assert.rejects(fake("exit 0").readAll([["domstate", "a"]]), { code: "task-failed" });
});

test("agent: what is written into a machine shows in no list of processes; nonsense is refused", async () => {
  // Like virsh's own line editor: every line comes back behind the prompt, however mangled.
  const echo = 'while read -r line; do echo "virsh # $line"; echo "$line" >>"$0.heard"; ';
  const fakeDomain = `case "$*" in *dominfo*) echo "error: failed to get domain" >&2; exit 1 ;; esac\n`;
  const answering = fake(`${fakeDomain}${echo} echo '{"return":{"count":6,"pid":1,"exited":true}}'; done`);
  const agent = libvirtAgent(answering, { name: "a" });
  await agent.writeFile("/etc/key", Buffer.from("s3cret"));
  await agent.exec(["/bin/cat"], { input: "s3cret ✓ it's" });
  const heard = noted("virsh.heard");
  assert.ok(heard.includes(Buffer.from("s3cret").toString("base64")));
  assert.ok(!noted("arguments").includes(Buffer.from("s3cret").toString("base64")));
  await agent.readFile("/it's ✓").catch(() => {});
  assert.ok(noted("virsh.heard").includes(String.raw`"/it\u0027s \u2713"`));
  for (const nonsense of ["hello", "{", '{"error":1}', "[]", ""]) {
    const lying = libvirtAgent(fake(`${fakeDomain}${echo} echo '${nonsense}'; done`), { name: "a" });
    await assert.rejects(lying.ping(1), { code: "agent-refused" }, nonsense);
  }
});

test("virsh: libvirt's words become the closed set of errors", () => {
  const code = (words: string, changes = false) => virshFailure(`error: ${words}\n`, { uri: "u", changes }).code;
  const connect = "failed to connect to the hypervisor\nerror: ";
  assert.equal(code(`${connect}Failed to connect socket to '/x': No such file or directory`), "hypervisor-unreachable");
  assert.equal(code(`${connect}Failed to connect socket to '/x': Permission denied`), "forbidden");
  assert.equal(code(`${connect}authentication unavailable: no polkit agent available`), "forbidden");
  assert.equal(
    code(`${connect}Cannot recv data: Host key verification failed.: Connection reset by peer`),
    "forbidden",
  );
  assert.equal(
    code(`${connect}Cannot recv data: ssh: connect to host h port 22: Connection refused`),
    "hypervisor-unreachable",
  );
  assert.equal(code("Disconnected from qemu:///system due to end of file", true), "unknown-outcome");
  assert.equal(code("End of file while reading data: Input/output error"), "hypervisor-unreachable");
  assert.equal(code("operation forbidden: read only access prevents virDomainDestroy"), "forbidden");
  assert.equal(
    code("Timed out during operation: cannot acquire state change lock (held by monitor=remoteDispatchDomainSave)"),
    "machine-locked",
  );
  assert.equal(
    code('internal error: process exited: Failed to get "write" lock\nIs another process using the image [/a]?'),
    "disk-in-use",
  );
  assert.equal(code("Guest agent is not responding: QEMU guest agent is not connected"), "agent-silent");
  assert.equal(code("argument unsupported: QEMU guest agent is not configured"), "agent-silent");
  assert.equal(
    code("internal error: unable to execute QEMU agent command 'guest-file-open': No such file"),
    "agent-refused",
  );
  assert.equal(code("operation failed: domain 'a' already exists with uuid 1"), "conflict");
  assert.equal(
    code("unsupported configuration: per-device boot elements cannot be used together with os/boot elements"),
    "invalid-setting",
  );
  assert.equal(code("XML error: Invalid boot order"), "invalid-setting");
  assert.equal(code("unable to execute QEMU agent command 'x': failed to get domain 'a'"), "agent-refused");
  assert.equal(code("something else"), "task-failed");
  const hint = (words: string) => virshFailure(words, { uri: "u", changes: true }).problems[0]!.hint ?? "";
  assert.match(hint("error: internal error: process exited: error connecting: Invalid argument"), /as base64/);
  assert.match(hint("error: Cannot access storage file '/a' (as uid:64055): Permission denied"), /search every folder/);
  const hostile = virshFailure(`error: \x1b[2J\x07${"x".repeat(5000)}`, { uri: "u", changes: false });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: none may be left
  assert.ok(hostile.message.length < 1200 && !/[\x00-\x1f]/.test(hostile.message));
  assert.match(virshFailure("", { uri: "u", changes: false }).message, /without a word/);
});

test("driver: names that libvirt would take for something else are refused", async () => {
  fake("exit 0");
  const driver = libvirtDriver({ uri: "qemu:///system" });
  for (const name of [
    "12",
    "-a",
    "",
    "a\nb",
    "a/b",
    "11111111-2222-4333-8444-555555555555",
    "1111111122224333844455555555 5555".replace(" ", ""),
  ]) {
    await assert.rejects(driver.inspect({ name }), { code: "invalid-setting" }, name);
  }
});

test("check: an old virsh or daemon is told", async () => {
  const versions = (library: string, daemon: string) =>
    fake(`echo 'Using library: libvirt ${library}'; echo 'Running against daemon: ${daemon}'`);
  const driver = libvirtDriver({ uri: "qemu:///system" });
  const check = async () => (await driver.check({ machines: [], storages: [], defines: true })).map(({ what }) => what);
  versions("8.0.0", "10.3.0");
  assert.deepEqual(await check(), []);
  versions("7.10.0", "6.0.0");
  assert.deepEqual(await check(), [
    "virsh of libvirt at qemu:///system is of version 7",
    "the daemon of libvirt at qemu:///system is of version 6",
  ]);
  fake("echo hello");
  assert.equal((await check()).length, 2);
});
