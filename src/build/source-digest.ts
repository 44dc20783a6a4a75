import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { sha256 } from "../base/hash.ts";

let digest: string | undefined;

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
  const files = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !/\.test\.ts$|testing|^(cli|hypervisors|tidy)/.test(file))
    .sort();
  return sha256(files.map((file) => `${file} ${sha256(readFileSync(join(root, file)))}`).join("\n"));
}
