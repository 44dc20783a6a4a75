import { gunzipSync, gzipSync } from "node:zlib";
import { canonicalJson } from "../base/canonical.ts";
import { failure, type MesoError } from "../base/error.ts";
import {
  aCount,
  aDigest,
  aText,
  aTruth,
  type Check,
  isRecord,
  matching,
  mismatch,
  oneOf,
  type Shape,
} from "../base/shape.ts";
import type { SystemDescription } from "./system-description.ts";

/** A description as a document of the pool: canonical JSON, gzip'd; the same on every host with the same zlib. */
export function encodeDescription(description: SystemDescription): Uint8Array {
  const bytes = gzipSync(canonicalJson(description));
  // RFC 1952, 2.3.1: the operating system that packed it is nobody's business; 255 is "unknown".
  bytes[9] = 255;
  return bytes;
}

/**
 * Reads a document that `encodeDescription` made, maybe on another host, by another version, long ago.
 *
 * @param name of the document or image, for messages.
 * @throws MesoError `description-version` (written by a newer meso), `bad-description` (damaged, or something else).
 */
export function decodeDescription(bytes: Uint8Array, name: string): SystemDescription {
  const bad = (what: string, field = "", expected?: string): MesoError =>
    failure("bad-description", `the description ${name} ${what}`, {
      ...(field !== "" && { field }),
      ...(expected !== undefined && { expected }),
      hint: "publish the system again: its description is then written anew",
    });
  if (bytes.length > largestDocument) throw bad(`has ${bytes.length} bytes`, "", `at most ${largestDocument}`);
  const value = parse(unpack(bytes, bad), bad);
  const version = isRecord(value) ? value.formatVersion : undefined;
  if (typeof version === "number" && version > 1) {
    throw failure("description-version", `the description ${name} has format ${version}, written by a newer meso`, {
      field: "formatVersion",
      expected: "1",
      hint: "update meso",
    });
  }
  const wrong = mismatch(value, descriptionShape);
  if (wrong) throw bad(wrong.what, wrong.field, wrong.expected);
  return value as SystemDescription;
}

/** Bytes: what a pool takes; and unpacked, far above what the largest desktop needs. */
const largestDocument = 16 * 2 ** 20;
const largestText = 128 * 2 ** 20;

type Bad = (what: string) => MesoError;

function unpack(bytes: Uint8Array, bad: Bad): string {
  let text: Uint8Array;
  try {
    text = gunzipSync(bytes, { maxOutputLength: largestText });
  } catch (error) {
    throw bad(`cannot be unpacked: ${(error as Error).message}`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(text);
  } catch {
    throw bad("is no text");
  }
}

function parse(text: string, bad: Bad): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw bad(`is not JSON (${(error as Error).message.slice(0, 200)})`);
  }
}

const aPath = matching("an absolute path", /^\//);
const aName = matching("a name without spaces", /^[^\s\0]{1,255}$/);
const aNumber: Check = { expected: "a whole number", holds: Number.isSafeInteger };
const names: Shape = { list: aText };
const aPlace: Shape = { members: { file: aText, line: aCount, column: aCount } };
const anOrigin: Shape = { members: { by: aText }, optional: { where: aPlace } };
const origins: Shape = { list: anOrigin };
const aReason: Shape = {
  members: { dependencyOf: aName, relation: aText },
};

const aPackage: Shape = {
  members: {
    name: aName,
    version: aName,
    architecture: aName,
    part: oneOf("root", "boot", "tools"),
    source: aName,
    sourceVersion: aName,
    suite: aName,
    sha256: aDigest,
    size: aCount,
    archive: oneOf("main", "security"),
    filename: matching("a path below a mirror's root", /^(?!\/)(?!(?:.*\/)?\.\.(?:\/|$))[A-Za-z0-9._+~%:=@/-]+$/),
    depends: names,
    reason: {
      expected: '"wished", "essential", or whose dependency it is',
      holds: (value) => value === "wished" || value === "essential" || mismatch(value, aReason) === undefined,
    },
  },
};

const fileBase = { path: aPath, user: aName, group: aName, mode: aCount, origin: anOrigin };
const fileShapes: Readonly<Record<string, Shape>> = {
  file: {
    members: { ...fileBase, kind: oneOf("file"), size: aCount, sha256: aDigest },
    optional: { text: aText },
  },
  directory: { members: { ...fileBase, kind: oneOf("directory") } },
  symlink: { members: { ...fileBase, kind: oneOf("symlink"), target: aText } },
};
const checkBase = { name: aText, service: aText };
const checkShapes: Readonly<Record<string, Shape>> = {
  "unit-active": { members: { ...checkBase, kind: oneOf("unit-active"), unit: aText } },
  "port-answers": {
    members: { ...checkBase, kind: oneOf("port-answers"), port: aCount, protocol: oneOf("tcp", "udp") },
  },
  "command-succeeds": { members: { ...checkBase, kind: oneOf("command-succeeds"), command: names } },
};
const deviceShapes: Readonly<Record<string, Shape>> = {
  label: { members: { kind: oneOf("label"), label: aText } },
  uuid: { members: { kind: oneOf("uuid"), uuid: aText } },
  path: { members: { kind: oneOf("path"), path: aText } },
  none: { members: { kind: oneOf("none") } },
};

const aTimeText = matching("a time as 2026-09-12T07:55:41.000Z", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const truthOrNames: Check = {
  expected: "true, false or a list of names",
  holds: (value) => typeof value === "boolean" || mismatch(value, names) === undefined,
};

const descriptionShape: Shape = {
  members: {
    formatVersion: oneOf(1),
    systemHash: aDigest,
    hostName: aText,
    architecture: aName,
    channel: {
      members: {
        suite: aName,
        components: names,
        updates: aTruth,
        security: aTruth,
        identity: aDigest,
        suites: { list: { members: { suite: aName, date: aTimeText } } },
      },
    },
    packages: { list: aPackage },
    wishes: { list: { members: { name: aName, origins } } },
    recommends: truthOrNames,
    files: { list: { kinds: fileShapes } },
    users: {
      list: {
        members: {
          name: aName,
          uid: aCount,
          group: aName,
          supplementaryGroups: names,
          comment: aText,
          home: aText,
          createHome: aTruth,
          shell: aText,
          password: aText,
          system: aTruth,
          origin: anOrigin,
        },
      },
    },
    groups: { list: { members: { name: aName, gid: aCount, system: aTruth, origin: anOrigin } } },
    accountNumbers: { table: aCount },
    units: { list: { members: { name: aText, state: oneOf("enabled", "masked"), origins } } },
    services: origins,
    checks: { list: { kinds: checkShapes } },
    kernel: { members: { package: aName, arguments: names, initrdModules: names } },
    bootloader: { members: { kind: oneOf("grub"), targets: names, timeout: aNumber } },
    fileSystems: {
      list: {
        members: {
          device: { kinds: deviceShapes },
          mountPoint: aText,
          type: aText,
          options: names,
          neededForBoot: aTruth,
          check: aTruth,
        },
      },
    },
    alternatives: { table: aText },
    acknowledgedScripts: {
      list: {
        members: { package: aText, script: oneOf("preinst", "postinst", "config"), reason: aText },
        optional: { sha256: aText },
      },
    },
  },
  optional: {
    imageHash: aDigest,
    sourcePackages: { list: { members: { name: aName, version: aText, output: aPath, replaces: names } } },
    composed: {
      members: {
        madePaths: {
          list: {
            members: {
              path: aPath,
              kind: oneOf("file", "directory", "symlink", "hardlink", "absent"),
              origin: aText,
            },
            optional: { target: aText },
          },
        },
        unitPackages: { table: aName },
      },
    },
  },
};
