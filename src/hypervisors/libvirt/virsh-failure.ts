import { failure, MesoError } from "../../base/error.ts";

/**
 * What virsh wrote on standard error, as one of the errors of `hypervisor.ts`. Libvirt tells numbers to programs linked
 * with it, and to others only words; these are the stable ones of the C locale (libvirt's src/util/virerror.c).
 */
export function virshFailure(
  stderr: string,
  { uri, changes }: { readonly uri: string; readonly changes: boolean },
): MesoError {
  const words = tail(stderr);
  const at = `libvirt at ${uri}`;
  const found = rules.find(({ pattern }) => pattern.test(words));
  if (found?.code === "connection-lost") {
    return failure(changes ? "unknown-outcome" : "hypervisor-unreachable", `the connection to ${at} broke: ${words}`);
  }
  if (!found) return failure("task-failed", `${at}: ${words}`);
  return failure(found.code, `${at}: ${words}`, found.hint === undefined ? {} : { hint: found.hint });
}

/** Whether it says no more than that the domain is off. */
export function isNotRunning(error: unknown): boolean {
  return error instanceof MesoError && /domain (\S+ )?is not running/i.test(error.message);
}

interface Rule {
  readonly pattern: RegExp;
  readonly code: string;
  readonly hint?: string;
}

/** The first that matches counts: what happened to the connection comes before what it was used for. */
const rules: readonly Rule[] = [
  // What follows are the machine's own words, which may be anything.
  { pattern: /unable to execute QEMU agent command/, code: "agent-refused" },
  {
    pattern:
      /failed to connect to the hypervisor[\s\S]*(Permission denied|authentication|access denied)|Host key verification/i,
    code: "forbidden",
    hint: "the user must be in the group libvirt, or let in by polkit; over ssh, a key and a known host are needed (docs/libvirt.md)",
  },
  {
    pattern: /failed to connect to the hypervisor/,
    code: "hypervisor-unreachable",
    hint: "does libvirtd run there? try the same address with virsh (docs/libvirt.md)",
  },
  {
    pattern:
      /client socket is closed|Cannot (recv|write) data|End of file while (reading|writing)|Disconnected from|connection closed due to keepalive|Broken pipe/,
    code: "connection-lost",
  },
  {
    pattern: /access denied|read.only access|operation forbidden|authentication (failed|unavailable|cancelled)/i,
    code: "forbidden",
    hint: "see docs/libvirt.md: rights of the user",
  },
  { pattern: /failed to get domain|Domain not found|no domain with matching/, code: "no-machine" },
  {
    pattern:
      /cannot acquire state change lock|another (migration|job)|is being (migrated|saved|dumped)|block job|active console session/i,
    code: "machine-locked",
  },
  {
    pattern:
      /Failed to get "?(shared )?"?(write|consistent read|resize)"? lock|already in use by|resource busy: Failed to lock/i,
    code: "disk-in-use",
  },
  {
    pattern: /guest agent is not|guest agent (not available|command timed out)|Guest agent disappeared/i,
    code: "agent-silent",
    hint: "look at the machine's console; add the guest agent's service to the system",
  },
  {
    pattern: /error connecting: /,
    code: "task-failed",
    hint: "Ceph lets nobody in: is cephSecret given, its value set as base64, and may the user use the pool (docs/libvirt.md)?",
  },
  {
    pattern: /Cannot access storage file|Could not open .*Permission denied/,
    code: "task-failed",
    hint: "the hypervisor must see the file under the same path, and its user must be able to search every folder on the way",
  },
  { pattern: /already exists with uuid|is already defined with uuid|already (exists|active) as/i, code: "conflict" },
  {
    pattern: /XML error|unsupported configuration|invalid argument|Network not found|Secret not found|not supported/i,
    code: "invalid-setting",
  },
  { pattern: /too many|try again|temporarily unavailable|Cannot allocate/i, code: "busy-retry" },
];

/** Without the prefix of each line, and not longer than a person reads. */
function tail(stderr: string): string {
  const lines = stderr.split("\n").map((line) => printable(line.replace(/^error: /, "")).trim());
  const words = lines.filter((line) => line !== "").join("; ");
  return words === "" ? "virsh failed without a word" : words.slice(-1000);
}

/** Machines may bring any words, and terminals obey some. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these are taken out
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, "");
}
