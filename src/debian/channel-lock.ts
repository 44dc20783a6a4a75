import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { failure } from "../base/error.ts";
import { hashOf } from "../base/hash.ts";
import { sortedBy } from "../base/order.ts";
import { aCount, aDigest, aTruth, isRecord, matching, mismatch, oneOf, type Shape } from "../base/shape.ts";
import type { Archive } from "./mirror.ts";
import { isPlainPath } from "./release.ts";

/** `meso.lock`: which indices of which suites a program's systems are made from. Holds no mirror's name. */
export interface ChannelLock {
  readonly formatVersion: 1;
  /** Sorted by suite. */
  readonly suites: readonly LockedSuite[];
}

export interface LockedSuite {
  readonly archive: Archive;
  /** As asked for and as in addresses: `trixie-security`. */
  readonly suite: string;
  readonly codename: string;
  /** When the archive made its `Release` file: ISO 8601, UTC. */
  readonly date: string;
  /** SHA-256 of the signed text of `InRelease`. */
  readonly release: string;
  /** Indices can be asked for by hash, which outlives a few updates of the mirror. */
  readonly byHash: boolean;
  /** Sorted by component, then architecture. */
  readonly indices: readonly LockedIndex[];
}

export interface LockedIndex {
  readonly component: string;
  /** `all` for the index of packages of every architecture, in archives that keep it apart; `source` for that of sources. */
  readonly architecture: string;
  /** Relative to the folder of the suite: `main/binary-amd64/Packages.xz`, `main/source/Sources.xz`. */
  readonly path: string;
  /** Of the file at `path`. */
  readonly sha256: string;
  /** Bytes of the file at `path`. */
  readonly size: number;
  /** The same index, not compressed. */
  readonly text: { readonly sha256: string; readonly size: number };
}

/**
 * The lock in `file`; undefined when there is none.
 * @throws MesoError `lock-version` (written by a newer meso), `bad-lock` (truncated or edited by hand).
 */
export function readLock(file: string): ChannelLock | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw failure("bad-lock", `${file} cannot be read: ${(error as Error).message}`);
  }
  return parseLock(text, file);
}

/** Writes the lock whole or not at all. Suites and indices are sorted, so the same pull gives the same bytes. */
export function writeLock(file: string, lock: ChannelLock): void {
  const aside = `${file}.${process.pid}-${randomBytes(4).toString("hex")}.tmp`;
  try {
    const descriptor = openSync(aside, "wx", 0o666);
    try {
      writeFileSync(descriptor, formatLock(lock));
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(aside, file);
  } catch (error) {
    rmSync(aside, { force: true });
    throw failure("lock-not-written", `${file} cannot be written: ${(error as Error).message}`, {}, error);
  }
}

/** A lock with these suites, in place of those of the same name in `lock`. */
export function withSuites(lock: ChannelLock | undefined, suites: readonly LockedSuite[]): ChannelLock {
  const names = new Set(suites.map((suite) => suite.suite));
  const kept = (lock?.suites ?? []).filter((suite) => !names.has(suite.suite));
  return { formatVersion: 1, suites: sortedBy([...kept, ...suites].map(sortIndices), (suite) => suite.suite) };
}

/**
 * What the choice of packages depends on, and nothing else: suites and contents of their indices. An
 * archive that signs the same indices anew, or another compression, leaves it as it is.
 */
export function channelIdentity(suites: readonly LockedSuite[]): string {
  const used = suites.flatMap(({ archive, suite, indices }) =>
    indices.map(({ component, architecture, text }) => ({
      archive,
      suite,
      component,
      architecture,
      text: text.sha256,
    })),
  );
  return hashOf(sortedBy(used, (index) => `${index.suite} ${index.component} ${index.architecture}`));
}

/** The lock's text: keys sorted, two spaces, a line feed at the end. */
export function formatLock(lock: ChannelLock): string {
  return `${JSON.stringify(withSuites(undefined, lock.suites), (_, value) => sortedKeys(value), 2)}\n`;
}

/** Reads a lock's text; `file` is for messages. */
export function parseLock(text: string, file: string): ChannelLock {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw badLock(file, "", `is not JSON (${(error as Error).message})`, "the lock as meso wrote it");
  }
  const version = isRecord(value) ? value.formatVersion : undefined;
  if (typeof version === "number" && version > 1) {
    throw failure("lock-version", `${file} has format ${version}, written by a newer meso`, {
      field: "formatVersion",
      expected: "1",
      hint: "update meso, or make the lock anew with `meso pull`",
    });
  }
  const wrong = mismatch(value, lockShape);
  if (wrong) throw badLock(file, wrong.field, wrong.what, wrong.expected);
  const lock = value as ChannelLock;
  const names = lock.suites.map((suite) => suite.suite);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice) throw badLock(file, "suites", `names ${twice} twice`, "each suite once");
  return withSuites(undefined, lock.suites);
}

function sortIndices(suite: LockedSuite): LockedSuite {
  return { ...suite, indices: sortedBy(suite.indices, (index) => `${index.component} ${index.architecture}`) };
}

function sortedKeys(value: unknown): unknown {
  return isRecord(value) ? Object.fromEntries(sortedBy(Object.entries(value), ([key]) => key)) : value;
}

const name = matching("a name of letters, digits, '.', '+' and '-'", /^[A-Za-z0-9][A-Za-z0-9.+-]{0,63}$/);
const lockShape: Shape = {
  members: {
    formatVersion: { expected: "1", holds: (value) => value === 1 },
    suites: {
      list: {
        members: {
          archive: oneOf("main", "security"),
          suite: name,
          codename: name,
          date: matching("a time as 2026-09-12T07:55:41.000Z", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
          release: aDigest,
          byHash: aTruth,
          indices: {
            list: {
              members: {
                component: name,
                architecture: name,
                path: {
                  expected: "a plain relative path to a Packages or Sources file",
                  holds: (value) =>
                    typeof value === "string" &&
                    isPlainPath(value) &&
                    /(^|\/)(Packages|Sources)(\.xz|\.gz)?$/.test(value),
                },
                sha256: aDigest,
                size: aCount,
                text: { members: { sha256: aDigest, size: aCount } },
              },
            },
          },
        },
      },
    },
  },
};

function badLock(file: string, field: string, what: string, expected: string) {
  return failure("bad-lock", `the lock ${file} ${what}`, {
    ...(field !== "" && { field }),
    expected,
    hint: "take the file back from version control, or make it anew with `meso pull`",
  });
}
