import { dpkgInfoFiles } from "../debian/dpkg-info.ts";
import type { FileEntry } from "../store/file-tree.ts";
import type { SegmentEntry } from "../store/segment.ts";
import type { SystemManifest } from "./manifest.ts";
import type { ComposedPackage } from "./merge-packages.ts";

type Contents =
  | string
  | { readonly link: string }
  | { readonly hardLink: string }
  | { readonly mode: number; readonly text?: string };

export interface PackageText {
  readonly name: string;
  readonly version?: string;
  /** By path; a path that ends in a slash is a folder. */
  readonly files?: Readonly<Record<string, Contents>>;
  readonly control?: Readonly<Record<string, string>>;
  readonly controlFiles?: Readonly<Record<string, string>>;
}

const encoder = new TextEncoder();

/** Packages made of text, with a reader for their contents: no archive is read. */
export function packagesOfText(texts: readonly PackageText[]): {
  packages: ComposedPackage[];
  readFile: (entry: FileEntry) => Uint8Array;
} {
  const contents = new Map<string, Uint8Array>();
  const packages = texts.map(
    ({ name, version = "1", files = {}, control = {}, controlFiles = {} }): ComposedPackage => {
      const id = `segment-of-${name}`;
      let offset = 0;
      const entries = Object.entries(files).map(([written, value]): SegmentEntry => {
        const path = written.length > 1 && written.endsWith("/") ? written.slice(0, -1) : written;
        const common = { path, uid: 0, gid: 0, mtime: 1000 };
        const mode = typeof value === "object" && "mode" in value ? value.mode : undefined;
        if (written.endsWith("/")) return { kind: "directory", ...common, mode: mode ?? 0o755 };
        if (typeof value === "object" && "link" in value)
          return { kind: "symlink", ...common, mode: 0o777, target: value.link };
        if (typeof value === "object" && "hardLink" in value) {
          return { kind: "hardlink", ...common, mode: 0o644, target: value.hardLink };
        }
        const bytes = encoder.encode(typeof value === "string" ? value : (value.text ?? ""));
        const entry = { kind: "file", ...common, mode: mode ?? 0o644, size: bytes.length, offset } as const;
        contents.set(`${id}:${offset}`, bytes);
        offset += 4096;
        return entry;
      });
      const fields = {
        Package: name,
        Version: version,
        Architecture: "amd64",
        Maintainer: "Nobody <nobody@example.org>",
        ...control,
      };
      const description = { ...fields, Description: `text of ${name}` };
      const records = dpkgInfoFiles({ control: description, controlFiles }, entries).map(({ path, text }) => {
        const bytes = encoder.encode(text);
        contents.set(`${id}:${offset}`, bytes);
        offset += 4096;
        const common = { path, uid: 0, gid: 0, mtime: 1, mode: 0o644 };
        return { kind: "file", ...common, size: bytes.length, offset: offset - 4096 } as const;
      });
      const segment = {
        id,
        dataBytes: offset,
        dataSha256: "",
        entries,
        records,
        control: description,
        controlFiles,
      };
      return { name, version, architecture: "amd64", segment };
    },
  );
  const readFile = (entry: FileEntry): Uint8Array =>
    entry.content.kind === "bytes"
      ? entry.content.bytes
      : contents.get(`${entry.content.segment}:${entry.content.offset}`)!;
  return { packages, readFile };
}

export const emptyManifest: SystemManifest = {
  formatVersion: 1,
  hostName: "test",
  architecture: "amd64",
  channel: { suite: "trixie", components: ["main"], updates: true, security: true },
  kernel: { package: "linux-image-test", arguments: [], initrdModules: [] },
  bootloader: { kind: "grub", targets: [], timeout: 1 },
  fileSystems: [],
  packages: [],
  recommends: false,
  users: [],
  groups: [],
  files: [],
  enabledUnits: [],
  maskedUnits: [],
  alternatives: {},
  accountNumbers: {},
  acknowledgedScripts: [],
  checks: [],
  configurationChecks: [],
  secrets: [],
};
