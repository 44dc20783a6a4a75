import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { dhcpServer } from "./dhcp-server.ts";
import { readFrames, virtualSwitch } from "./virtual-switch.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-wires-"));
after(() => rmSync(folder, { recursive: true }));

const everyone = "ff:ff:ff:ff:ff:ff";
const bytes = (mac: string) => Buffer.from(mac.replaceAll(":", ""), "hex");
const frame = (to: string, from: string, text: string) =>
  Buffer.concat([bytes(to), bytes(from), Buffer.from([0x88, 0xb5]), Buffer.from(text)]);

/** As QEMU: a card that sends and keeps what it hears. */
async function card(socketPath: string) {
  const socket: Socket = connect(socketPath);
  await once(socket, "connect");
  const heard: string[] = [];
  readFrames(socket, (each) => heard.push(each.toString("latin1", 14)));
  return {
    ...{ socket, heard },
    send: (each: Buffer) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(each.length);
      socket.write(Buffer.concat([length, each]));
    },
  };
}

const until = async (holds: () => boolean) => {
  for (let tries = 0; !holds(); tries++) {
    assert.ok(tries < 500, "it happens within five seconds");
    await sleep(10);
  }
};

test("frames reach whom they are for, and everybody when that is not known; cables can be pulled", async () => {
  const wire = virtualSwitch();
  const [a, b, c] = ["02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"] as const;
  const ports = await Promise.all(["a", "b", "c"].map((name) => wire.addPort(join(folder, name))));
  const cards = await Promise.all(ports.map(({ socketPath }) => card(socketPath)));
  const [alice, bob, carol] = cards as [(typeof cards)[0], (typeof cards)[0], (typeof cards)[0]];
  try {
    alice.send(frame(everyone, a, "all"));
    await until(() => bob.heard.length === 1 && carol.heard.length === 1);
    bob.send(frame(a, b, "to a"));
    await until(() => alice.heard.length === 1);
    alice.send(frame(b, a, "to b"));
    await until(() => bob.heard.length === 2);
    alice.send(frame(c, a, "unknown, so flooded"));
    await until(() => carol.heard.length === 2);
    assert.deepEqual(bob.heard, ["all", "to b", "unknown, so flooded"]);
    assert.deepEqual(alice.heard, ["to a"], "nobody hears himself");

    ports[1]!.setCable(false);
    alice.send(frame(b, a, "lost"));
    bob.send(frame(a, b, "lost too"));
    carol.send(frame(everyone, c, "all but b"));
    await until(() => alice.heard.length === 2);
    ports[1]!.setCable(true);
    bob.send(frame(a, b, "back"));
    await until(() => alice.heard.length === 3);
    assert.deepEqual(alice.heard, ["to a", "all but b", "back"]);
    assert.equal(bob.heard.length, 3);

    // In pieces, several at once, and a machine that was started again.
    const again = await card(ports[1]!.socketPath);
    const two = Buffer.concat([frame(a, b, "one"), frame(a, b, "two")].flatMap((each) => [length(each), each]));
    for (const byte of two) again.socket.write(Buffer.of(byte));
    await until(() => alice.heard.length === 5);
    assert.deepEqual(alice.heard.slice(3), ["one", "two"]);
  } finally {
    await wire.close();
  }
});

test("who speaks nonsense is hung up on; runts are ignored", async () => {
  const wire = virtualSwitch();
  const port = await wire.addPort(join(folder, "nonsense"));
  try {
    const runt = await card(port.socketPath);
    runt.send(Buffer.from("short"));
    runt.send(Buffer.alloc(0));
    const closed = once(runt.socket, "close");
    runt.socket.write(Buffer.from([0xff, 0xff, 0xff, 0xff]));
    await closed;
  } finally {
    await wire.close();
  }
});

const length = (each: Buffer) => {
  const field = Buffer.alloc(4);
  field.writeUInt32BE(each.length);
  return field;
};

test("DHCP: an offer, then the address; strangers and rubbish get nothing", () => {
  const mac = "52:54:00:00:00:0a";
  const server = dhcpServer(new Map([[mac, 10]]));
  const ask = (type: number, from = mac, cookie = 0x63825363) => {
    const bootp = Buffer.alloc(240);
    bootp.set([1, 1, 6, 0, 1, 2, 3, 4], 0);
    bytes(from).copy(bootp, 28);
    bootp.writeUInt32BE(cookie, 236);
    const options = Buffer.from([0, 12, 1, 0x78, 53, 1, type, 255]);
    const udp = Buffer.from([0, 68, 0, 67, 0, 0, 0, 0]);
    const ip = Buffer.alloc(20);
    ip.set([0x45], 0);
    ip.set([64, 17], 8);
    return Buffer.concat([bytes(everyone), bytes(from), Buffer.from([8, 0]), ip, udp, bootp, options]);
  };
  for (const [asked, answered] of [
    [1, 2],
    [3, 5],
  ] as const) {
    const answer = server.answer(ask(asked))!;
    assert.ok(answer.subarray(0, 6).equals(bytes(mac)));
    const ip = answer.subarray(14, 34);
    let sum = 0;
    for (let at = 0; at < 20; at += 2) sum += ip.readUInt16BE(at);
    assert.equal((sum & 0xffff) + (sum >>> 16), 0xffff, "the header's checksum");
    assert.equal(ip.readUInt16BE(2), answer.length - 14);
    const bootp = answer.subarray(42);
    assert.deepEqual([...bootp.subarray(16, 20)], [10, 77, 0, 10]);
    assert.deepEqual([...bootp.subarray(4, 8)], [1, 2, 3, 4]);
    assert.deepEqual([...bootp.subarray(240, 243)], [53, 1, answered]);
  }
  assert.equal(server.answer(ask(1, "52:54:00:00:00:0b")), undefined);
  assert.equal(server.answer(ask(7)), undefined);
  assert.equal(server.answer(ask(1, mac, 0)), undefined);
  const whole = ask(1);
  for (let end = 0; end < whole.length - 2; end++) assert.equal(server.answer(whole.subarray(0, end)), undefined);
});
