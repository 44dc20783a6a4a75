import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { type DiskRange, diskRecipe, type Extent } from "../extent.ts";
import { type Backing, qcow2Layer } from "./qcow2.ts";
import { parseQcow2Header, readQcow2Header } from "./qcow2-header.ts";
import { writeRaw } from "./write-raw.ts";

const folder = mkdtempSync(join(tmpdir(), "meso-layers-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const files = { segmentDataPath: (segment: string) => join(folder, segment) };
const KiB = 1024;

/** Bytes, or zeros, at some places of a disk: from byte to byte, and in whole blocks. */
interface LayerPlan {
  readonly sectors: number;
  readonly pieces: readonly { readonly skip: number; readonly length: number; readonly isZero: boolean }[];
}

const layers: fc.Arbitrary<readonly LayerPlan[]> = fc.array(
  fc.record({
    sectors: fc.integer({ min: 1, max: 1500 }),
    pieces: fc.array(
      fc.record({
        skip: fc.integer({ min: 0, max: 90_000 }),
        length: fc.integer({ min: 1, max: 150_000 }),
        isZero: fc.boolean(),
      }),
      { maxLength: 9 },
    ),
  }),
  { minLength: 1, maxLength: 4 },
);

test("layers over layers read as a plain model says, whatever their sizes, and QEMU finds no fault", () => {
  fc.assert(
    fc.property(layers, fc.boolean(), (plans, startsRaw) => {
      let model = Buffer.alloc(0);
      let below: Backing | undefined;
      for (const [index, { sectors, pieces }] of plans.entries()) {
        const size = sectors * 512;
        const shown = Buffer.alloc(size);
        model.copy(shown);
        const { extents, zeros } = piecesOf(pieces, size, index + 1);
        for (const { start, length } of zeros) shown.fill(0, start, start + length);
        for (const { start, length, source } of extents) {
          // A block that is touched is held whole.
          shown.fill(0, Math.floor(start / 4096) * 4096, Math.min(size, Math.ceil((start + length) / 4096) * 4096));
          assert.equal(source.kind, "bytes");
        }
        for (const { start, source } of extents) if (source.kind === "bytes") shown.set(source.bytes, start);
        model = shown;
        const format = startsRaw && index === 0 ? "raw" : "qcow2";
        const disk = diskRecipe(size, extents);
        const layer = { ...(below && { backing: below }), zeros: format === "raw" ? [] : zeros };
        writeRaw(format === "raw" ? disk : qcow2Layer(disk, layer).file, join(folder, `${index}`), files);
        if (format === "qcow2") {
          execFileSync("qemu-img", ["check", "-q", "-f", "qcow2", join(folder, `${index}`)]);
          assert.deepEqual(readQcow2Header(join(folder, `${index}`)), { size, ...(below && { backing: below.file }) });
        }
        below = { file: `${index}`, format };
      }
      const top = join(folder, `${plans.length - 1}`);
      execFileSync("qemu-img", [
        "convert",
        "-t",
        "unsafe",
        "-f",
        below!.format,
        "-O",
        "raw",
        top,
        join(folder, "copy"),
      ]);
      assert.ok(readFileSync(join(folder, "copy")).equals(model));
    }),
    { numRuns: 15 },
  );
});

test("a layer over a large disk is small: tables that say nothing are holes", () => {
  const extents: Extent[] = [
    { start: 20 * 2 ** 30, length: 4096, source: { kind: "bytes", bytes: Buffer.alloc(4096, 1) } },
  ];
  const written = writeRaw(qcow2Layer(diskRecipe(32 * 2 ** 30, extents), {}).file, join(folder, "large"), files);
  assert.ok(written < 64 * KiB, `${written} bytes`);
  execFileSync("qemu-img", ["check", "-q", "-f", "qcow2", join(folder, "large")]);
});

test("headers that are cut, contradict themselves or are no headers are none", () => {
  const path = join(folder, "header");
  writeRaw(qcow2Layer(diskRecipe(1 << 20, []), { backing: { file: "below", format: "qcow2" } }).file, path, files);
  const good = readFileSync(path);
  const parse = (head: Buffer) =>
    parseQcow2Header(head, (at, length) => (at + length <= head.length ? head.subarray(at, at + length) : undefined));
  assert.deepEqual(parse(good), { size: 1 << 20, backing: "below" });
  for (let length = 0; length < 72; length++) assert.equal(parse(good.subarray(0, length)), undefined);
  assert.equal(parse(good.subarray(0, 100)), undefined, "the name lies beyond the end");
  const changed = (at: number, value: number): Buffer => {
    const bytes = Buffer.from(good);
    bytes.writeUInt32BE(value, at);
    return bytes;
  };
  const wrong = {
    magic: [0, 1],
    version: [4, 4],
    clusters: [20, 40],
    size: [24, 0xffffffff],
    nameAt: [8, 1],
    name: [16, 5000],
    empty: [16, 0],
  };
  for (const [what, [at, value]] of Object.entries(wrong)) assert.equal(parse(changed(at!, value!)), undefined, what);
  writeFileSync(path, "");
  assert.equal(readQcow2Header(path), undefined);
});

/** Extents and zeros one after the other; zeros are whole blocks, and no block is both. */
function piecesOf(plans: LayerPlan["pieces"], size: number, fill: number) {
  const extents: Extent[] = [];
  const zeros: DiskRange[] = [];
  let at = 0;
  for (const { skip, length, isZero } of plans) {
    const start = isZero ? Math.ceil((at + skip) / 4096) * 4096 : at + skip;
    const end = isZero ? start + Math.ceil(length / 4096) * 4096 : start + length;
    if (end > size) break;
    if (isZero) zeros.push({ start, length: end - start });
    else
      extents.push({
        start,
        length,
        source: { kind: "bytes", bytes: Buffer.alloc(length, fill * 16 + extents.length + 1) },
      });
    // The rest of a block that is held belongs to it.
    at = isZero ? end : Math.ceil(end / 4096) * 4096;
  }
  return { extents, zeros };
}
