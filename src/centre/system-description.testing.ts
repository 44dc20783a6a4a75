import { hashOf, sha256 } from "../base/hash.ts";
import type { DescribedFile, DescribedPackage, SystemDescription } from "./system-description.ts";

/** A description of nothing much, to be changed at will. */
export const emptyDescription: SystemDescription = {
  formatVersion: 1,
  systemHash: sha256("empty"),
  hostName: "test",
  architecture: "amd64",
  channel: {
    suite: "trixie",
    components: ["main"],
    updates: true,
    security: true,
    identity: sha256("channel"),
    suites: [{ suite: "trixie", date: "2026-09-12T07:55:41.000Z" }],
  },
  packages: [],
  wishes: [],
  recommends: false,
  files: [],
  users: [],
  groups: [],
  accountNumbers: {},
  units: [],
  services: [],
  checks: [],
  kernel: { package: "linux-image-amd64", arguments: [], initrdModules: [] },
  bootloader: { kind: "grub", targets: [], timeout: 1 },
  fileSystems: [],
  alternatives: {},
  acknowledgedScripts: [],
};

export function describedPackage(
  name: string,
  version: string,
  more: Partial<DescribedPackage> = {},
): DescribedPackage {
  const { source = name, sourceVersion = version, architecture = "amd64" } = more;
  return {
    name,
    version,
    architecture,
    part: "root",
    suite: "trixie",
    sha256: sha256(`${name} ${version} ${architecture}`),
    size: 100,
    archive: "main",
    filename: `pool/main/${name}_${version}_${architecture}.deb`,
    depends: [],
    reason: "wished",
    ...more,
    source,
    sourceVersion,
  };
}

export function describedText(path: string, text: string, by = "files", line = 1): DescribedFile {
  return {
    kind: "file",
    path,
    user: "root",
    group: "root",
    mode: 0o644,
    origin: { by, where: { file: "machine.ts", line, column: 3 } },
    size: Buffer.byteLength(text),
    sha256: sha256(text),
    text,
  };
}

/** Gives a description the hash that its contents ask for. */
export function hashedDescription(parts: Partial<SystemDescription>): SystemDescription {
  const description = { ...emptyDescription, ...parts };
  return { ...description, systemHash: hashOf(distinctive(description)) };
}

/** Without what tells no two systems apart. */
export function distinctive(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(distinctive);
  if (typeof value !== "object" || value === null) return value;
  const foreign = ["origin", "origins", "systemHash", "services", "composed", "depends", "reason", "suite", "identity"];
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, member]) => (foreign.includes(key) ? [] : [[key, distinctive(member)]])),
  );
}

export const describedStoreFile = (name: string, text: string, by: string): DescribedFile => ({
  ...describedText(`/meso/store/${sha256(text).slice(0, 32)}-${name}`, text, by, 7),
  mode: 0o444,
});
export const describedLink = (path: string, target: string, by: string): DescribedFile => ({
  kind: "symlink",
  path,
  target,
  mode: 0o777,
  user: "root",
  group: "root",
  origin: { by },
});
