import type { ManifestCheck } from "../system/manifest.ts";
import type { GuestAgent } from "./guest-agent.ts";

/** What one look at a machine showed. */
export interface Observation {
  /** What is wrong, in words; absent when nothing is. */
  readonly reason?: string;
  /** It does not heal by waiting. */
  readonly isFinal?: boolean;
  /** The machine is still starting its units. */
  readonly isStarting?: boolean;
}

/** Whether systemd has started everything, and nothing of it failed. */
export async function observeSystem(agent: GuestAgent, deadline: number): Promise<Observation> {
  const state = (await agent.exec(["systemctl", "is-system-running"], { deadline })).stdout.trim();
  if (state === "running") return {};
  if (state === "maintenance") {
    const read = ["journalctl", "--boot", "--priority=err", "--lines=5", "--output=cat", "--no-pager", "--quiet"];
    const { stdout } = await agent.exec(read, { deadline });
    return { reason: `systemd has given up and is in emergency mode${quoted(stdout)}`, isFinal: true };
  }
  if (state !== "degraded") {
    const isStarting = state === "starting" || state === "initializing" || state === "";
    return { reason: `systemd says that it is ${state || "not there"}`, isStarting };
  }
  const list = ["systemctl", "list-units", "--failed", "--plain", "--no-legend", "--full"];
  const { stdout } = await agent.exec(list, { deadline });
  const units = stdout
    .split("\n")
    .map((line) => line.trim().split(/\s+/)[0]!)
    .filter(Boolean);
  if (units.length === 0) return { reason: "systemd says that it is degraded" };
  const said = [];
  for (const unit of units.slice(0, 3)) said.push(`${unit}${await lastWords(agent, unit, deadline)}`);
  const more = units.length > 3 ? ` and ${units.length - 3} more` : "";
  return { reason: `failed units: ${said.join(", ")}${more}`, isFinal: true };
}

/** All at once: each question costs an emulated machine a tenth of a second. */
export async function observeUnits(
  agent: GuestAgent,
  units: readonly string[],
  deadline: number,
): Promise<ReadonlyMap<string, Observation>> {
  const show = ["systemctl", "show", "--property=LoadState,ActiveState,SubState,Result", "--", ...units];
  const { stdout } = await agent.exec(show, { deadline });
  const blocks = stdout.trimEnd().split(/\n\n+/);
  const seen = new Map<string, Observation>();
  for (const [index, unit] of units.entries()) {
    seen.set(unit, await judgeUnit(agent, unit, properties(blocks[index] ?? ""), deadline));
  }
  return seen;
}

/** A port or a command. */
export async function observeCheck(
  agent: GuestAgent,
  check: Exclude<ManifestCheck, { kind: "unit-active" }>,
  deadline: number,
): Promise<Observation> {
  if (check.kind === "port-answers") return observePort(agent, check.port, check.protocol, deadline);
  const { exitCode, stdout, stderr } = await agent.exec(check.command, { deadline });
  if (exitCode === 0) return {};
  return { reason: `it ended with code ${exitCode}${quoted(stderr.trim() ? stderr : stdout)}` };
}

function properties(block: string): ReadonlyMap<string, string> {
  return new Map(
    block.split("\n").map((line) => {
      const equals = line.indexOf("=");
      return [line.slice(0, equals), line.slice(equals + 1)];
    }),
  );
}

async function judgeUnit(
  agent: GuestAgent,
  unit: string,
  of: ReadonlyMap<string, string>,
  deadline: number,
): Promise<Observation> {
  const active = of.get("ActiveState");
  if (active === "active" || active === "reloading") return {};
  const load = of.get("LoadState");
  if (load === "not-found" || load === "masked" || load === "bad-setting" || load === "error") {
    return { reason: `systemd says ${load}`, isFinal: true };
  }
  if (active === "failed") {
    return { reason: `it is failed (${of.get("Result")})${await lastWords(agent, unit, deadline)}`, isFinal: true };
  }
  return { reason: `it is ${active ?? "unknown"} (${of.get("SubState") ?? "?"})` };
}

/** What the unit said last, for people. */
async function lastWords(agent: GuestAgent, unit: string, deadline: number): Promise<string> {
  const read = ["journalctl", "--boot", "--unit", unit, "--lines=20", "--output=cat", "--no-pager", "--quiet"];
  const { stdout } = await agent.exec(read, { deadline });
  // systemd's own words about it say nothing that the state does not.
  const own =
    /^(Start(ing|ed)|Finished|Failed to start|Stopp(ing|ed)|Scheduled restart) |^\S+: (Main process|Failed with|Deactivated|Consumed|Start request|Scheduled)/;
  return quoted(
    stdout
      .split("\n")
      .filter((line) => !own.test(line))
      .join("\n"),
  );
}

const quotedLines = 3;
const quotedCharacters = 300;

function quoted(text: string): string {
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean)
    .slice(-quotedLines)
    .join(" | ");
  return lines ? `; it said: ${lines.slice(-quotedCharacters)}` : "";
}

/**
 * Whether somebody listens, and for TCP whether a connection is made. The kernel's tables tell at which address (proc(5)),
 * bash connects: nothing else need be installed.
 */
async function observePort(
  agent: GuestAgent,
  port: number,
  protocol: "tcp" | "udp",
  deadline: number,
): Promise<Observation> {
  const tables = ["cat", `/proc/net/${protocol}`, `/proc/net/${protocol}6`];
  const { stdout } = await agent.exec(tables, { deadline });
  const addresses = listeners(stdout, port, protocol);
  if (addresses.length === 0) return { reason: `nobody listens on ${protocol} port ${port}` };
  if (protocol === "udp") return {};
  const tries: string[] = [];
  for (const address of addresses) {
    const script = 'exec 3<>"/dev/tcp/$0/$1"';
    const { exitCode, stderr } = await agent.exec(["bash", "-c", script, address, String(port)], { deadline });
    if (exitCode === 0) return {};
    tries.push(`${address}${quoted(stderr)}`);
  }
  return { reason: `no connection to tcp port ${port} at ${tries.join(", ")}` };
}

/** Addresses at which a connection to the port would be heard, at most two. */
export function listeners(tables: string, port: number, protocol: "tcp" | "udp"): readonly string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, "0");
  const listening = protocol === "tcp" ? "0A" : "07";
  const addresses = tables.split("\n").flatMap((line) => {
    const [, local, , state] = line.trim().split(/\s+/);
    const match = /^([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})$/.exec(local ?? "");
    return match?.[2] === wanted && state === listening ? [readAddress(match[1]!)] : [];
  });
  return [...new Set(addresses)].slice(0, 2);
}

/** Words of 32 bits, each in the byte order of the machine: little-endian on all that are supported. */
function readAddress(digits: string): string {
  const bytes = Buffer.from(digits, "hex");
  bytes.swap32();
  if (bytes.every((byte) => byte === 0)) return bytes.length === 4 ? "127.0.0.1" : "::1";
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16));
  return groups.join(":");
}
