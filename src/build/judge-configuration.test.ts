import assert from "node:assert/strict";
import { after, test } from "node:test";
import { MesoError } from "../base/error.ts";
import type { ProgressEvent } from "../base/progress.ts";
import { baseFileSystems, baseServices, fileSystem, label, operatingSystem, simpleService, sudoers } from "../index.ts";
import type { Service } from "../language/service-type.ts";
import { bind9, chrony, haproxy, nginx, openssh, rsyslog } from "../services/index.ts";
import { freshSession, testSession } from "../test-support/test-session.ts";
import { realiseSystem } from "./compose.ts";
import { prepareSystem } from "./prepare.ts";
import type { BuildSession } from "./session.ts";

/** With programs that judge: chronyd, sshd, rsyslogd, visudo. */
async function realised(services: readonly Service[], session: BuildSession = testSession()) {
  const os = operatingSystem({
    hostName: "judged",
    fileSystems: [fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" }), ...baseFileSystems],
    services: [...baseServices, ...services],
  });
  return realiseSystem(session, await prepareSystem(session, os));
}

test("a configuration that its program takes is built, and asked about once", async () => {
  const services = [
    openssh({ port: 2222 }),
    chrony({ servers: ["10.0.0.2"] }),
    rsyslog(),
    simpleService("operators", sudoers, ["%operators ALL=(root) /usr/bin/true"]),
  ];
  const session = freshSession();
  after(session.remove);
  const heard: string[] = [];
  const listening = { ...session, report: ({ text }: ProgressEvent) => void heard.push(text) };
  const judges = ["chronyd", "rsyslogd", "sshd", "visudo"];
  const asked = () => heard.filter((text) => judges.includes(text)).sort();
  const { prepared } = await realised(services, listening);
  assert.deepEqual(prepared.manifest.configurationChecks.map(({ name }) => name).sort(), judges);
  assert.deepEqual(asked(), judges);
  await realised(services, listening);
  assert.deepEqual(asked(), judges, "what passed is remembered");
  const changed = services.map((one) => (one.name === "chrony" ? chrony({ servers: ["10.0.0.3"] }) : one));
  await realised(changed, listening);
  assert.deepEqual(asked(), ["chronyd", ...judges], "another configuration is another question");
});

test("what programs refuse is told with their words and the place of the service, all at once", async () => {
  const wrong = realised([
    openssh({ extraConfiguration: "PermitTunnel perhaps" }),
    chrony({ extraConfiguration: "nonsense of nothing" }),
    rsyslog({ extraConfiguration: 'action(type="nothing"' }),
    simpleService("operators", sudoers, ["%operators ALL=(root /usr/bin/true"]),
  ]);
  await assert.rejects(wrong, (error: unknown) => {
    assert.ok(error instanceof MesoError);
    const told = error.problems.map(({ code, what }) => [code, what.split("\n")[0]].join(": ")).sort();
    assert.deepEqual(told, [
      "configuration-refused: chronyd refuses the configuration of chrony:",
      "configuration-refused: rsyslogd refuses the configuration of rsyslog:",
      "configuration-refused: sshd refuses the configuration of openssh:",
      "configuration-refused: visudo refuses the configuration of sudoers:",
    ]);
    const said = error.problems.map(({ what }) => what).join("\n");
    for (const words of [/PermitTunnel|perhaps/, /Invalid|nonsense/i, /syntax error|parse/]) assert.match(said, words);
    assert.ok(error.problems.every(({ where }) => where?.file.endsWith("judge-configuration.test.ts")));
    return true;
  });
});

test("zones, web servers and balancers are judged too", async () => {
  const server = { kind: "http", host: "a.example.org", hostName: "a", address: "10.0.0.1", port: 80 } as const;
  const wrong = realised([
    bind9({ zones: [{ name: "example.org", records: ["@ SOA a b 1 2 3 4 5", "@ NS a", "a A 10.0.0.256"] }] }),
    nginx({ sites: [{ locations: [{ path: "/", root: "/srv", extraConfiguration: "autoindexx on;" }] }] }),
    haproxy({ ports: [{ name: "web", port: 80, servers: [server], extraConfiguration: "balence source" }] }),
  ]);
  await assert.rejects(wrong, (error: unknown) => {
    assert.ok(error instanceof MesoError);
    const said = error.problems.map(({ what }) => what).join("\n");
    assert.equal(error.problems.length, 3, said);
    for (const words of [
      /example\.org\.zone:3: .*10\.0\.0\.256/,
      /unknown directive "autoindexx"/,
      /unknown keyword 'balence'/,
    ]) {
      assert.match(said, words);
    }
    return true;
  });
});
