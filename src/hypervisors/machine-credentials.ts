import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { failure } from "../base/error.ts";
import type { GuestAgent } from "./guest-agent.ts";
import type { Credentials } from "./hypervisor.ts";

/**
 * Writes each value as a file of its name that only this user may read, whole or not at all. What else is in the folder
 * goes, or stays with `keepsOthers`. Gives the files' paths by name.
 */
export function writeCredentialFiles(
  folder: string,
  credentials: Credentials,
  { keepsOthers = false } = {},
): ReadonlyMap<string, string> {
  if (credentials.size > 0) mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const [name, value] of credentials) {
    const path = join(folder, checkedName(name));
    const aside = join(folder, `.${name}.new`);
    // One that a killed process left may be somebody's with another mode.
    rmSync(aside, { force: true });
    const opened = openSync(aside, "wx", 0o600);
    try {
      writeSync(opened, value);
      fsyncSync(opened);
    } finally {
      closeSync(opened);
    }
    renameSync(aside, path);
  }
  const written = credentialFiles(folder);
  if (keepsOthers) return written;
  for (const [name, path] of written) if (!credentials.has(name)) rmSync(path);
  return credentialFiles(folder);
}

/** What `writeCredentialFiles` has written there, sorted by name. */
export function credentialFiles(folder: string): ReadonlyMap<string, string> {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return new Map();
    throw error;
  }
  const kept = names.filter((name) => !name.startsWith(".")).sort();
  return new Map(kept.map((name) => [name, join(folder, name)]));
}

/** A name becomes that of a file, and of an object of the firmware, which has 55 characters (FW_CFG_MAX_FILE_PATH). */
function checkedName(name: string): string {
  if (/^[A-Za-z0-9-]{1,28}$/.test(name)) return name;
  throw failure("invalid-setting", `${JSON.stringify(name)} cannot be a credential's name`, {
    expected: "letters, digits and hyphens, 28 at most",
  });
}

/**
 * Carries credentials into a running machine, for hypervisors that hand nothing over: into memory, where systemd looks
 * for them, and onto its state volume when it has one, for starts at which nobody is there to carry. Units that run with
 * an older value are started again.
 *
 * @throws MesoError `agent-silent` and the like; `credential-refused` with what the machine said.
 */
export async function carryCredentials(agent: GuestAgent, credentials: Credentials): Promise<void> {
  for (const [name, value] of credentials) {
    const argv = ["/bin/sh", "-c", keepCredential, "sh", checkedName(name)];
    const { exitCode, stderr } = await agent.exec(argv, { input: value });
    if (exitCode === 0) continue;
    const hint = stderr.trim().split("\n").at(-1);
    throw failure("credential-refused", `the machine could not keep the secret ${name}`, { ...(hint && { hint }) });
  }
  if (credentials.size > 0) await agent.exec(["/bin/sh", "-c", useChangedCredentials]);
}

/** The value comes by standard input: no list of processes shows it. */
const keepCredential = `set -eu
umask 077
mkdir -p /run/credstore
cat > "/run/credstore/.$1.new"
cmp -s "/run/credstore/.$1.new" "/run/credstore/$1" || : > /run/credstore/.changed
mv "/run/credstore/.$1.new" "/run/credstore/$1"
mountpoint -q /var/lib/meso || exit 0
kept=/var/lib/meso/credstore
mkdir -p "$kept"
cp "/run/credstore/$1" "$kept/.$1.new"
sync "$kept/.$1.new"
mv "$kept/.$1.new" "$kept/$1"`;

/** Stopping what everybody requires who has one stops them too, and starting it again starts them (systemd.unit(5)). */
const useChangedCredentials = `[ -e /run/credstore/.changed ] || exit 0
rm -f /run/credstore/.changed
systemctl is-active --quiet meso-credentials.service || exit 0
systemctl --no-block restart meso-credentials.service`;

/** A file as QEMU hands it over: read by the machine's systemd at boot (systemd.system-credentials(7)). */
export function firmwareName(name: string): string {
  return `opt/io.systemd.credentials/${checkedName(name)}`;
}
