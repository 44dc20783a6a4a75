import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { sha256 } from "../base/hash.ts";

let digest: string | undefined;

/** Rooms whose code decides what is built; those that people see, and that use what was built, do not. */
const rooms = ["base", "build", "debian", "image", "language", "packages", "services", "store", "system"];

/**
 * SHA-256 over this program's own sources: what is computed by them and kept in the store depends on them, and a
 * version number that somebody must remember to raise would be forgotten.
 */
export function sourceDigest(): string {
  digest ??= computeDigest();
  return digest;
}

function computeDigest(): string {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const files = rooms
    .flatMap((room) =>
      readdirSync(join(root, room), { recursive: true, encoding: "utf8" }).map((file) => join(room, file)),
    )
    .filter((file) => file.endsWith(".ts") && !/\.test\.ts$|testing/.test(file))
    .sort();
  return sha256(files.map((file) => `${file} ${sha256(readFileSync(join(root, file)))}`).join("\n"));
}
