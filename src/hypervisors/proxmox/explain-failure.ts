import { failure, type MesoError } from "../../base/error.ts";

/** What Proxmox said of something that did not succeed. */
export interface Refusal {
  /** HTTP's number; 0 for a task that failed behind its 200. */
  readonly status: number;
  readonly text: string;
  /** By parameter, from a 400. */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** What was asked: `PUT /nodes/pve1/qemu/127/config`, or a UPID. */
  readonly asked: string;
  /** The end of the task's log. */
  readonly log?: readonly string[];
}

/**
 * A refusal as one of the driver's errors. Proxmox tells most of them apart only by their text (500 is everything that a
 * `die` says); the fragments below have been stable over its releases.
 */
export function explainFailure(refusal: Refusal): MesoError {
  const text = refusal.text.trim().replace(/\s*\n\s*/g, "; ") || `no reason (HTTP ${refusal.status})`;
  const more = [`asked: ${refusal.asked}`, ...(refusal.log ?? []).map((line) => `log: ${line}`)].join("\n  ");
  const as = (code: string, what: string, hint?: string) =>
    failure(code, `${what}\n  ${more}`, hint === undefined ? {} : { hint });
  if (refusal.status === 401) {
    return as("forbidden", `Proxmox does not accept the token: ${text}`, "is it expired, or of another cluster?");
  }
  if (refusal.status === 403) return as("forbidden", missingPrivilege(text));
  if (refusal.status === 595 || refusal.status === 596) {
    return as("unknown-outcome", `Proxmox lost the answer between its own nodes (HTTP ${refusal.status}): ${text}`);
  }
  const fields = Object.entries(refusal.fields ?? {}).map(([name, problem]) => `${name}: ${String(problem).trim()}`);
  const whole = [text, ...fields].join("; ");
  const known = fragments.find(({ pattern }) => pattern.test(whole));
  if (known) return as(known.code, `Proxmox: ${whole}`, known.hint);
  if (refusal.status === 400) return as("invalid-setting", `Proxmox: ${whole}`);
  if (refusal.status === 501) return as("invalid-setting", `this Proxmox cannot do that: ${text}`);
  return as("task-failed", `Proxmox: ${text}`);
}

const fragments: readonly { readonly pattern: RegExp; readonly code: string; readonly hint?: string }[] = [
  // Until 8 it was misspelt.
  { pattern: /checksum miss?match/, code: "conflict", hint: "somebody changed the machine meanwhile: look again" },
  { pattern: /can't lock file.*got timeout/, code: "busy-retry", hint: "another operation is on the machine" },
  {
    pattern: /is locked \(/,
    code: "machine-locked",
    hint: "wait for the operation named; what a dead backup left is freed by `qm unlock` on the node",
  },
  { pattern: /protection mode enabled/, code: "machine-locked", hint: "switch the machine's protection off" },
  { pattern: /No QEMU guest agent configured/, code: "agent-silent", hint: "set the machine's option `agent`" },
  {
    pattern: /guest agent is not running/,
    code: "agent-silent",
    hint: "does qemu-guest-agent run inside? After `agent` was set, the machine needs a cold start",
  },
  { pattern: /VM \d+ is not running/, code: "agent-silent", hint: "start the machine" },
  { pattern: /^Agent error:/, code: "agent-refused" },
  { pattern: /VM quit\/powerdown failed/, code: "power-off-timeout" },
  { pattern: /still in use|has watchers/, code: "disk-in-use" },
  { pattern: /[Cc]onfiguration file .*\/qemu-server\/\d+\.conf' does not exist/, code: "no-machine" },
  { pattern: /already exists/, code: "conflict" },
  {
    pattern: /hotplug problem|is running - destroy failed/,
    code: "busy-retry",
    hint: "the machine runs: disks are changed while it is off",
  },
  {
    pattern: /hostname lookup|Name or service not known/,
    code: "invalid-setting",
    hint: "nodes go by the short names that /nodes lists",
  },
  { pattern: /does not exist|unable to parse .*volume name|no such volume/, code: "invalid-setting" },
];

/** `Permission check failed (/vms/127, VM.Config.CPU)` */
function missingPrivilege(text: string): string {
  const found = /\((\/[^,)]*), ([^)]+)\)/.exec(text);
  return found ? `the token lacks ${found[2]} on ${found[1]}` : `the token lacks a privilege: ${text}`;
}
