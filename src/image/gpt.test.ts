import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { writeRecipeFile } from "../test-support/recipe-file.ts";
import { diskRecipe } from "./extent.ts";
import { type GptOptions, guidFrom, type Partition, partitionTypes, writeGpt } from "./gpt.ts";

const scratch = mkdtempSync(join(tmpdir(), "gpt-test-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

const mebibyte = 2 ** 20;
const diskSize = 8 * 2 ** 30;

const bios: Partition = {
  name: "bios",
  typeGuid: partitionTypes.biosBoot,
  guid: guidFrom("bios"),
  start: mebibyte,
  length: mebibyte,
  legacyBoot: true,
};
const esp: Partition = {
  name: "EFI System",
  typeGuid: partitionTypes.efiSystem,
  guid: guidFrom("esp"),
  start: 4 * mebibyte,
  length: 512 * mebibyte,
};
const root: Partition = {
  name: "racine-é",
  typeGuid: partitionTypes.linuxRootAmd64,
  guid: guidFrom("root"),
  start: 516 * mebibyte,
  length: diskSize - 516 * mebibyte - 33 * 512,
  attributes: 1n << 60n,
};
const sample: GptOptions = { diskSize, diskGuid: guidFrom("disk"), partitions: [bios, esp, root] };

test("sfdisk verifies the table and reads back every field", () => {
  const image = writeImage("sample", sample);
  assert.match(sfdisk(["--verify", image]), /No errors detected/);
  const table = JSON.parse(sfdisk(["--json", image])).partitiontable;
  assert.equal(table.label, "gpt");
  assert.equal(table.id, sample.diskGuid.toUpperCase());
  assert.equal(table.firstlba, 34);
  assert.equal(table.lastlba, diskSize / 512 - 34);
  assert.deepEqual(
    table.partitions.map(({ node: _, ...fields }: { node: string }) => fields),
    sample.partitions.map(({ name, typeGuid, guid, start, length }) => ({
      start: start / 512,
      size: length / 512,
      type: typeGuid.toUpperCase(),
      uuid: guid.toUpperCase(),
      name,
      ...(name === "bios" && { attrs: "LegacyBIOSBootable" }),
      ...(name === "racine-é" && { attrs: "GUID:60" }),
    })),
  );
});

test("the backup stands in when the primary is lost", () => {
  const image = writeImage("damaged", sample);
  const file = openSync(image, "r+");
  writeSync(file, Buffer.alloc(512), 0, 512, 512);
  closeSync(file);
  assert.equal(JSON.parse(sfdisk(["--json", image])).partitiontable.partitions.length, 3);
});

test("the MBR keeps boot code and protects the disk", () => {
  const bootCode = Buffer.alloc(440, 0xfa);
  const image = writeImage("boot", { ...sample, bootCode });
  assert.match(sfdisk(["--verify", image]), /No errors detected/);
  const [head] = writeGpt({ ...sample, bootCode });
  assert.ok(head!.source.kind === "bytes");
  const mbr = Buffer.from(head!.source.bytes);
  assert.deepEqual(mbr.subarray(0, 440), bootCode);
  assert.equal(mbr.subarray(440).toString("hex", 0, 22), "0000000000000000" + "0200eeffffff" + "01000000" + "ffffff00");
});

test("a GUID from a text is stable, and marked as version 8", () => {
  assert.equal(guidFrom("disk"), guidFrom("disk"));
  assert.notEqual(guidFrom("disk"), guidFrom("disc"));
  // SHA-256 of the empty string begins with e3b0c442 98fc1c14 9afbf4c8 996fb924.
  assert.equal(guidFrom(""), "e3b0c442-98fc-8c14-9afb-f4c8996fb924");
});

test("tables that cannot be are refused", () => {
  const fails = (more: Partial<GptOptions>): void => {
    assert.throws(() => writeGpt({ ...sample, ...more }), { name: "MesoError", code: "bad-partition" });
  };
  fails({ diskSize: diskSize - 512 });
  fails({ diskSize: diskSize + 1 });
  fails({ diskSize: 0 });
  fails({ diskGuid: "none" });
  fails({ bootCode: Buffer.alloc(441) });
  fails({ partitions: [bios, { ...esp, start: bios.start }] });
  fails({ partitions: [bios, { ...esp, guid: bios.guid.toUpperCase() }] });
  fails({ partitions: [{ ...bios, start: 33 * 512 }] });
  fails({ partitions: [{ ...bios, start: 1 }] });
  fails({ partitions: [{ ...bios, length: 0 }] });
  fails({ partitions: [{ ...bios, length: Number.NaN }] });
  fails({ partitions: [{ ...bios, name: "n".repeat(37) }] });
  fails({ partitions: [{ ...bios, typeGuid: "ef00" }] });
  fails({ partitions: Array.from({ length: 129 }, () => bios) });
});

function writeImage(name: string, options: GptOptions): string {
  const image = join(scratch, `${name}.img`);
  writeRecipeFile(image, diskRecipe(options.diskSize, writeGpt(options)));
  return image;
}

function sfdisk(parameters: string[]): string {
  const env = { ...process.env, LC_ALL: "C.UTF-8", PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
  return execFileSync("sfdisk", parameters, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"], env });
}
