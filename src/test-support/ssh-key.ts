import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** A fresh ssh key: where its private half is, and the line of its public half. */
export function newSshKey(folder: string): { readonly file: string; readonly line: string } {
  const file = join(folder, "key");
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", file]);
  return { file, line: readFileSync(`${file}.pub`, "utf8").trim() };
}
