import { createHash } from "node:crypto";
import { sortedBy } from "../../base/order.ts";
import type { FileEntry } from "../../store/file-tree.ts";
import { type DraftTree, generatedDirectory, generatedFile } from "../draft-tree.ts";
import type { AttributeEffect } from "../ledger/effects.ts";
import { type ComposedPackage, type Diversion, mergedPath } from "../merge-packages.ts";
import type { Remember } from "./remember.ts";

const folder = "/var/lib/dpkg";
const origin = "dpkg database";

export interface DpkgRecords {
  readonly diversions: readonly Diversion[];
  readonly overrides: readonly AttributeEffect[];
  readonly architecture: string;
  /** Paths on merged /usr, by package, that hold something else now: nothing is said of their content. */
  readonly replaced?: ReadonlyMap<string, ReadonlySet<string>>;
  readonly readFile: (entry: FileEntry) => Uint8Array;
  readonly remember: Remember;
}

/**
 * dpkg's own database (dpkg(1), FILES), as if it had installed the packages: `dpkg -l`, `-L`, `-S`, `-V` and
 * vulnerability scanners work inside the machine.
 */
export async function writeDpkgDatabase(
  tree: DraftTree,
  packages: readonly ComposedPackage[],
  records: DpkgRecords,
): Promise<void> {
  const put = (name: string, text: string) => tree.set(`${folder}/${name}`, generatedFile(text, { origin }));
  const installed = sortedBy(packages, ({ name, architecture }) => `${name}:${architecture}`);
  const status = await records.remember(["dpkg status", installed.map(({ segment }) => segment.id)], () =>
    installed.map((debian) => statusParagraph(debian, records.readFile)).join("\n"),
  );
  put("status", status);
  put("available", "");
  put(
    "arch",
    sortedBy(architectures(installed, records.architecture), (name) => name)
      .map((name) => `${name}\n`)
      .join(""),
  );
  put("arch-native", `${records.architecture}\n`);
  put("info/format", "1\n");
  put(
    "diversions",
    sortedBy(records.diversions, ({ path }) => path)
      .map((d) => `${d.path}\n${d.to}\n${d.by}\n`)
      .join(""),
  );
  put("statoverride", overrideLines(records.overrides));
  for (const name of ["parts", "updates", "triggers", "alternatives"]) {
    tree.set(`${folder}/${name}`, generatedDirectory({ origin }));
  }
  for (const { name, segment } of installed) {
    for (const record of segment.records ?? []) {
      if (record.kind !== "file") continue;
      const content = { kind: "segment", segment: segment.id, offset: record.offset } as const;
      const entry: FileEntry = { ...record, content, origin: name };
      const paths = records.replaced?.get(name);
      const isChanged = paths && record.path.endsWith(".md5sums");
      tree.set(record.path, isChanged ? withoutSums(entry, paths, records.readFile) : entry);
    }
  }
}

/** Lines of md5sums name paths as the archive has them, without the first slash. */
function withoutSums(entry: FileEntry, paths: ReadonlySet<string>, readFile: DpkgRecords["readFile"]): FileEntry {
  const lines = Buffer.from(readFile(entry)).toString().split("\n");
  const kept = lines.filter((line) => !paths.has(mergedPath(`/${line.slice(line.indexOf("  ") + 2)}`)));
  return { ...generatedFile(kept.join("\n"), { origin: entry.origin, mode: entry.mode }) };
}

/** The same in every system: systems that are composed one after the other share it. */
function statusParagraph(debian: ComposedPackage, readFile: DpkgRecords["readFile"]): string {
  const { control } = debian.segment;
  const paragraph = paragraphOf.get(control) ?? writtenParagraph(debian, readFile);
  paragraphOf.set(control, paragraph);
  return paragraph;
}

const paragraphOf = new WeakMap<ComposedPackage["segment"]["control"], string>();

/** Fields that an archive's control file has and dpkg's status lacks, or the other way round: deb-control(5). */
function writtenParagraph(debian: ComposedPackage, readFile: DpkgRecords["readFile"]): string {
  const lines: string[] = [];
  for (const [field, value] of Object.entries(debian.segment.control)) {
    if (field === "Description") lines.push(...configurationFiles(debian, readFile));
    lines.push(`${field}: ${foldedValue(value)}`);
    if (field === "Package") lines.push("Status: install ok installed");
  }
  return lines.map((line) => `${line}\n`).join("");
}

/** Lines after the first start with a space in deb822, whether or not the parser kept it. */
function foldedValue(value: string): string {
  const [first = "", ...rest] = value.split("\n");
  return [first, ...rest.map((line) => (line.startsWith(" ") || line.startsWith("\t") ? line : ` ${line}`))].join("\n");
}

function configurationFiles(debian: ComposedPackage, readFile: DpkgRecords["readFile"]): string[] {
  const text = debian.segment.controlFiles.conffiles;
  if (text === undefined) return [];
  const shipped = new Map(debian.segment.entries.map((entry) => [entry.path, entry]));
  const lines = text.split("\n").flatMap((line) => {
    const path = line.trim();
    // `remove-on-upgrade /path`: dpkg 1.20.6 and later.
    const entry = shipped.get(path);
    if (entry?.kind !== "file") return [];
    const content = { kind: "segment", segment: debian.segment.id, offset: entry.offset } as const;
    const bytes = readFile({ ...entry, content, origin: debian.name });
    return [` ${path} ${createHash("md5").update(bytes).digest("hex")}`];
  });
  return lines.length === 0 ? [] : ["Conffiles:", ...lines];
}

function architectures(packages: readonly ComposedPackage[], native: string): Set<string> {
  return new Set([native, ...packages.map(({ architecture }) => architecture).filter((name) => name !== "all")]);
}

function overrideLines(overrides: readonly AttributeEffect[]): string {
  const byPath = new Map(overrides.map((override) => [override.path, override]));
  return sortedBy(byPath.values(), ({ path }) => path)
    .map(({ path, user = "root", group = "root", mode = 0o755 }) => `${user} ${group} ${mode.toString(8)} ${path}\n`)
    .join("");
}
