import assert from "node:assert/strict";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { clusterCertificates } from "../../test-support/proxmox-emulator/certificate.ts";
import { withCluster } from "./cluster.testing.ts";
import { openConnection } from "./connection.ts";
import { proxmoxDriver } from "./proxmox-driver.ts";

const aToken = "root@pam!deploy=01234567-89ab-cdef-0123-456789abcdef";

test("a pinned certificate: the right one is used, a wrong one hears nothing at all", () =>
  withCluster({ driver: {} }, async ({ emulator, connect, id }) => {
    const { fingerprint } = emulator.nodes[0]!;
    const pinned = { certificateAuthority: undefined as never };
    assert.ok(await connect({ ...pinned, fingerprint: fingerprint.toLowerCase() }).inspect(id));
    const heard = emulator.heard.length;
    const wrong = connect({
      ...pinned,
      fingerprint: fingerprint.replace(/^../, (pair) => (pair === "00" ? "01" : "00")),
    });
    await assert.rejects(wrong.inspect(id), (error: Error & { code?: string }) => {
      assert.equal(error.code, "untrusted-certificate");
      assert.ok(error.message.includes(fingerprint), "a person must be able to compare");
      return true;
    });
    assert.equal(emulator.heard.length, heard);
  }));

test("not one byte follows the handshake when the certificate is wrong", async () => {
  const { leaves } = clusterCertificates(["pve1"]);
  const heard: Buffer[] = [];
  const server = await listening(createServer({ key: leaves[0]!.key, cert: leaves[0]!.certificate }));
  server.on("secureConnection", (socket) => socket.on("data", (data: Buffer) => heard.push(data)));
  try {
    for (const trust of [{ fingerprint: "00:".repeat(32).slice(0, -1) }, {}]) {
      const connection = openConnection({ urls: [urlOf(server)], token: aToken, parallelPerNode: 1, ...trust });
      await assert.rejects(connection.send("POST", "/version", {}, 5), { code: "untrusted-certificate" });
      connection.close();
    }
    assert.deepEqual(heard, []);
  } finally {
    server.close();
  }
});

test("a CA: the cluster's own is trusted, another is not, and the name must fit", async () => {
  await withCluster({}, async ({ driver, connect, id }) => {
    assert.ok(await driver.inspect(id));
    const other = connect({ certificateAuthority: clusterCertificates(["pve1"]).ca });
    await assert.rejects(other.inspect(id), { code: "untrusted-certificate" });
  });
  const { ca, leaves } = clusterCertificates(["pve1"]);
  const { key, certificate: cert } = leaves[0]!;
  const server = await listening(createServer({ key, cert }), "127.0.0.2");
  const url = urlOf(server).replace("localhost", "127.0.0.2");
  const misnamed = openConnection({ urls: [url], token: aToken, certificateAuthority: ca, parallelPerNode: 1 });
  await assert.rejects(misnamed.send("GET", "/version", {}, 5), { code: "untrusted-certificate" });
  misnamed.close();
  server.close();
});

test("several nodes: the next answers when one is away, and siblings' certificates are learnt from the first", () =>
  withCluster({ nodes: ["pve1", "pve2"] }, async ({ emulator, connect, id }) => {
    const pinned = { certificateAuthority: undefined as never, fingerprint: emulator.nodes[0]!.fingerprint };
    const stranger = connect({ ...pinned, urls: [emulator.urls[1]!] });
    await assert.rejects(stranger.inspect(id), { code: "untrusted-certificate" });
    const driver = connect(pinned);
    assert.deepEqual(await driver.check({ machines: [id], storages: ["ceph"], defines: false }), []);
    await emulator.stopServer(0);
    assert.ok(await driver.inspect(id), "by its sibling");
    await emulator.stopServer(1);
    await assert.rejects(driver.inspect(id), (error: Error & { code?: string }) => {
      assert.equal(error.code, "hypervisor-unreachable");
      for (const url of emulator.urls) assert.ok(error.message.includes(new URL(url).host));
      return true;
    });
  }));

test("connections are kept", () =>
  withCluster({}, async ({ emulator, driver, id }) => {
    await driver.inspect(id);
    for (let i = 0; i < 20; i++) await driver.inspect(id);
    assert.ok(emulator.heard.length > 100);
    await Promise.all(Array.from({ length: 40 }, () => driver.inspect(id)));
    assert.ok(emulator.connections() <= 16, `${emulator.connections()} connections`);
  }));

test("the token is in no message, and one that cannot be one is not even tried", () =>
  withCluster({ token: { privilegeSeparation: true } }, async ({ emulator, connect, id }) => {
    const secret = "deadbeef-dead-beef-dead-beefdeadbeef";
    const unknown = connect({ token: `root@pam!other=${secret}` });
    await assert.rejects(unknown.inspect(id), (error: Error & { code?: string }) => {
      assert.equal(error.code, "forbidden");
      assert.ok(!JSON.stringify(error, Object.getOwnPropertyNames(error)).includes("deadbeef"));
      return true;
    });
    const options = { urls: emulator.urls, parallelPerNode: 1, fingerprint: emulator.nodes[0]!.fingerprint };
    for (const token of ["", secret, `root@pam=${secret}`, `root@pam!a=${secret}\nx: y`]) {
      assert.throws(
        () => proxmoxDriver({ ...options, token }),
        (error: Error) => !error.message.includes("deadbeef") && /USER@REALM!TOKENID=UUID/.test(error.message),
      );
    }
  }));

test("answers of something else, broken or endless, are told and never taken for success", async () => {
  const { leaves } = clusterCertificates(["pve1"]);
  const { key, certificate: cert, fingerprint } = leaves[0]!;
  const answers: readonly [string, RegExp][] = [
    ["<html>captive portal</html>", /not one of Proxmox/],
    ['{"data": {"version"', /not one of Proxmox/],
    ["[]", /not one of Proxmox/],
    ['"data"', /not one of Proxmox/],
    ["", /not one of Proxmox/],
  ];
  for (const [text, expected] of answers) {
    const server = await listening(createServer({ key, cert }, (_, response) => response.end(text)));
    const driver = proxmoxDriver({ urls: [urlOf(server)], token: aToken, fingerprint, parallelPerNode: 1 });
    const problems = await driver.check({ machines: [], storages: [], defines: false });
    assert.match(problems[0]!.what, expected);
    driver.close();
    server.close();
  }
  const endless = await listening(
    createServer({ key, cert }, (_, response) => {
      const piece = Buffer.alloc(1 << 20, "x");
      const more = () => {
        while (response.writable && response.write(piece));
      };
      response.on("drain", more);
      more();
    }),
  );
  const connection = openConnection({ urls: [urlOf(endless)], token: aToken, fingerprint, parallelPerNode: 1 });
  await assert.rejects(connection.send("POST", "/version", {}, 30), {
    code: "unknown-outcome",
    message: /longer than/,
  });
  connection.close();
  const silent = await listening(createServer({ key, cert }, () => {}));
  const waiting = openConnection({ urls: [urlOf(silent)], token: aToken, fingerprint, parallelPerNode: 1 });
  await assert.rejects(waiting.send("PUT", "/version", {}, 0.2), { code: "unknown-outcome", message: /none within/ });
  await assert.rejects(waiting.send("GET", "/version", {}, 0.2), { code: "hypervisor-unreachable" });
  waiting.close();
  for (const server of [endless, silent]) {
    server.closeAllConnections();
    server.close();
  }
});

test("a redirection is not followed: the token goes to nobody else", async () => {
  const { leaves } = clusterCertificates(["pve1"]);
  const { key, certificate: cert, fingerprint } = leaves[0]!;
  let visitors = 0;
  const other = await listening(createServer({ key, cert }, (_, response) => response.end(String(++visitors))));
  const server = await listening(
    createServer({ key, cert }, (_, response) => response.writeHead(302, { location: urlOf(other) }).end()),
  );
  const driver = proxmoxDriver({ urls: [urlOf(server)], token: aToken, fingerprint, parallelPerNode: 1 });
  const problems = await driver.check({ machines: [], storages: [], defines: false });
  assert.equal(problems.length, 1);
  assert.equal(visitors, 0);
  driver.close();
  server.close();
  other.close();
});

async function listening(server: Server, address = "127.0.0.1"): Promise<Server> {
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  return server;
}

function urlOf(server: Server): string {
  return `https://localhost:${(server.address() as AddressInfo).port}`;
}
