import { execFile } from "node:child_process";
import { hostname, userInfo } from "node:os";
import { promisify } from "node:util";
import { sha256 } from "../base/hash.ts";
import { programVersion } from "../base/version.ts";

/** Where an image's program came from: written on the image, never into it. */
export interface Provenance {
  /** Commit of the checkout that the program lies in; absent outside of one, or before its first commit. */
  readonly commit?: string;
  /** Whether everything in that checkout was committed; absent when git could not tell. */
  readonly isClean?: boolean;
  /** `user@host, mesoforge 0.1.0` */
  readonly builder: string;
  /** SHA-256 of the lock's bytes. */
  readonly lockHash: string;
}

export async function provenance(folder: string, lock: Uint8Array): Promise<Provenance> {
  const [commit, changes] = await Promise.all([git(folder, "rev-parse", "HEAD"), git(folder, "status", "--porcelain")]);
  return {
    ...(commit !== undefined && /^[0-9a-f]{40,64}$/.test(commit)
      ? { commit, ...(changes !== undefined && { isClean: changes === "" }) }
      : {}),
    builder: `${userName()}@${hostname()}, mesoforge ${programVersion()}`,
    lockHash: sha256(lock),
  };
}

/** A user without an entry in the host's accounts has a number only. */
export function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? "somebody");
  }
}

/** Undefined when git is missing, or says no. */
async function git(folder: string, ...words: string[]): Promise<string | undefined> {
  try {
    const options = {
      encoding: "utf8",
      maxBuffer: 64 << 20,
      env: { ...process.env, GIT_OPTIONAL_LOCKS: "0" },
    } as const;
    return (await promisify(execFile)("git", ["-C", folder, ...words], options)).stdout.trim();
  } catch {
    return undefined;
  }
}
