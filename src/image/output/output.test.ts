import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { diskRecipe } from "../extent.ts";
import { serveNbd } from "./nbd-server.ts";
import { writeQcow2 } from "./qcow2.ts";
import { changedBlocks, recipeHash } from "./recipe-identity.ts";
import { sampleDisk } from "./sample-disk.testing.ts";
import { writeRaw } from "./write-raw.ts";

const run = promisify(execFile);

test("raw: the model's bytes, sparse, and nothing left behind by a failure", () => {
  const { recipe, files, folder, bytes } = sampleDisk(1);
  const path = join(folder, "disk.raw");
  writeRaw(recipe, path, files);
  assert.ok(readFileSync(path).equals(bytes()));
  assert.ok(statSync(path).blocks * 512 < recipe.size, "holes must stay holes");
  writeFileSync(join(folder, "a"), "short");
  const before = readdirSync(folder);
  assert.throws(() => writeRaw(recipe, join(folder, "again.raw"), files), /segment a ends at byte/);
  assert.deepEqual(readdirSync(folder), before);
  assert.throws(() => writeRaw(recipe, join(folder, "no/such/folder"), files), /a folder that exists/);
});

test("qcow2: qemu-img finds no fault and the same contents; the same bytes twice", () => {
  for (const [seed, size] of [
    [1, 96 << 20],
    [2, (96 << 20) + 512 * 77],
    [3, 3 * 2 ** 40],
  ] as const) {
    const { recipe, files, folder } = sampleDisk(seed, size);
    const [qcow2, raw] = [join(folder, "disk.qcow2"), join(folder, "disk.raw")];
    writeQcow2(recipe, qcow2, files);
    writeRaw(recipe, raw, files);
    execFileSync("qemu-img", ["check", "-f", "qcow2", qcow2]);
    execFileSync("qemu-img", ["compare", "-f", "qcow2", "-F", "raw", qcow2, raw]);
    const first = readFileSync(qcow2);
    writeQcow2(recipe, qcow2, files);
    assert.ok(first.equals(readFileSync(qcow2)));
  }
});

test("qcow2: an empty disk and a full one", () => {
  const { files, folder } = sampleDisk(4);
  const path = join(folder, "disk.qcow2");
  writeQcow2(diskRecipe(1 << 30, []), path, files);
  execFileSync("qemu-img", ["check", "-f", "qcow2", path]);
  const bytes = Buffer.alloc(40 << 20, 7);
  writeQcow2(
    diskRecipe(bytes.length, [{ start: 0, length: bytes.length, source: { kind: "bytes", bytes } }]),
    path,
    files,
  );
  execFileSync("qemu-img", ["check", "-f", "qcow2", path]);
});

test("nbd: qemu-img reads the same disk, knows its holes, several clients at once", async () => {
  const { recipe, files, folder } = sampleDisk(5);
  const raw = join(folder, "disk.raw");
  writeRaw(recipe, raw, files);
  const server = await serveNbd(recipe, { socketPath: join(folder, "nbd"), files });
  try {
    const url = `nbd+unix:///?socket=${server.socketPath}`;
    await Promise.all([1, 2, 3].map(() => run("qemu-img", ["compare", "-f", "raw", "-F", "raw", raw, url])));
    const { stdout } = await run("qemu-img", ["map", "--output=json", "-f", "raw", url]);
    const map: { start: number; length: number; zero: boolean; data: boolean }[] = JSON.parse(stdout);
    const zeros = map.filter((piece) => piece.zero).reduce((sum, piece) => sum + piece.length, 0);
    const covered = recipe.extents.reduce((sum, extent) => sum + extent.length, 0);
    // QEMU rounds to sectors: a hole's ragged edges count as data.
    const ragged = recipe.size - covered - zeros;
    assert.ok(ragged >= 0 && ragged <= recipe.extents.length * 1024, `${ragged}`);
    assert.equal(server.problem(), undefined);
  } finally {
    await server.close();
  }
  assert.ok(!readdirSync(folder).includes("nbd"));
});

test("nbd: writes are refused, a damaged segment is an input/output error, nonsense harms only its sender", async () => {
  const { recipe, files, folder } = sampleDisk(6);
  const server = await serveNbd(recipe, { socketPath: join(folder, "nbd"), files });
  try {
    const url = `nbd+unix:///?socket=${server.socketPath}`;
    await assert.rejects(run("qemu-io", ["-f", "raw", "-c", "write 0 512", url]));
    const goodStart = Buffer.concat([u32(3), option(7, Buffer.from([0, 0, 0, 0, 0, 0]))]);
    const request = (type: number, offset: bigint, length: number) => {
      const head = Buffer.alloc(28);
      head.writeUInt32BE(0x25609513, 0);
      head.writeUInt16BE(type, 6);
      head.writeBigUInt64BE(offset, 16);
      head.writeUInt32BE(length, 24);
      return head;
    };
    const hostile = [
      Buffer.from("GET / HTTP/1.0\r\n\r\n"),
      u32(0xffffffff),
      Buffer.concat([u32(3), Buffer.from("IHAVEOPT"), u32(7), u32(0xffffffff)]),
      Buffer.concat([u32(3), option(7, Buffer.from([255, 255, 255, 255, 0, 0]))]),
      Buffer.concat([u32(3), option(8, Buffer.alloc(0)), option(10, Buffer.from([0, 0, 0, 0, 255, 255, 255, 255]))]),
      Buffer.concat([goodStart, Buffer.alloc(28, 0xee)]),
      Buffer.concat([goodStart, request(0, 2n ** 64n - 1n, 0xffffffff)]),
      Buffer.concat([goodStart, request(0, 0n, 0), request(0, BigInt(recipe.size) - 1n, 2), request(99, 0n, 1)]),
      Buffer.concat([goodStart, request(1, 0n, 0xffffffff), Buffer.alloc(100)]),
      Buffer.concat([goodStart, request(7, 0n, 4096)]),
    ];
    for (const bytes of hostile) {
      for (const length of [bytes.length, bytes.length >> 1, 1])
        await sayAndLeave(server.socketPath, bytes.subarray(0, length));
    }
    assert.equal(server.problem(), undefined);
    await run("qemu-img", ["info", "-f", "raw", url]);
    // Without structured replies and with the oldest option, as simple clients do it.
    const answer = await sayAndLeave(
      server.socketPath,
      Buffer.concat([u32(3), option(1, Buffer.alloc(0)), request(0, 0n, 16), request(0, BigInt(recipe.size), 1)]),
    );
    const replies = answer.subarray(18 + 10);
    assert.equal(replies.readUInt32BE(0), 0x67446698);
    assert.equal(replies.readUInt32BE(4), 0);
    assert.equal(replies.readUInt32BE(32 + 4), 22);
    for (const name of ["a", "b"]) writeFileSync(join(folder, name), "");
    await assert.rejects(run("qemu-img", ["convert", "-f", "raw", "-O", "raw", url, join(folder, "out")]));
    assert.match(String(server.problem()), /ends at byte/);
  } finally {
    await server.close();
  }
});

test("the recipe's hash sees contents and places, not how they are cut or where they are kept", () => {
  const { recipe, identify } = sampleDisk(7);
  const cut = diskRecipe(
    recipe.size,
    recipe.extents.flatMap((extent) => {
      const half = extent.length >> 1;
      if (half === 0) return [extent];
      const { source } = extent;
      const rest =
        source.kind === "bytes"
          ? { kind: "bytes" as const, bytes: source.bytes.subarray(half) }
          : { ...source, offset: source.offset + half };
      const tail = { start: extent.start + half, length: extent.length - half, source: rest };
      return [{ ...extent, length: half }, tail];
    }),
  );
  const hash = recipeHash(recipe, identify);
  assert.equal(recipeHash(cut, identify), hash);
  assert.deepEqual(changedBlocks(recipe, recipe, identify), { blocks: 0, objects: 0 });
  const moved = diskRecipe(recipe.size + 512, recipe.extents);
  assert.notEqual(recipeHash(moved, identify), hash);
  const one = { start: recipe.size, length: 5, source: { kind: "bytes" as const, bytes: Buffer.from("hello") } };
  const more = diskRecipe(recipe.size + 512, [...recipe.extents, one]);
  assert.deepEqual(changedBlocks(moved, more, identify), { blocks: 1, objects: 1 });
  assert.deepEqual(changedBlocks(more, moved, identify), { blocks: 1, objects: 1 });
  const zeros = { ...one, source: { kind: "bytes" as const, bytes: Buffer.alloc(5) } };
  assert.deepEqual(changedBlocks(moved, diskRecipe(moved.size, [...recipe.extents, zeros]), identify), {
    blocks: 0,
    objects: 0,
  });
});

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function option(type: number, data: Buffer): Buffer {
  return Buffer.concat([Buffer.from("IHAVEOPT"), u32(type), u32(data.length), data]);
}

/** Sends, closes its own side, and gives all that came back. */
function sayAndLeave(socketPath: string, bytes: Buffer): Promise<Buffer> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    const got: Buffer[] = [];
    socket.on("data", (chunk) => got.push(chunk));
    socket.on("error", () => {});
    socket.on("close", () => resolve(Buffer.concat(got)));
    socket.end(bytes);
  });
}
