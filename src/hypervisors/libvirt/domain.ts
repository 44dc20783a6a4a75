import { assert, failure } from "../../base/error.ts";
import { sha256 } from "../../base/hash.ts";
import type { MachineState } from "../hypervisor.ts";
import { slowness } from "../qemu-accelerator.ts";
import { type DomainDisk, disksOf } from "./domain-disks.ts";
import type { Virsh, VirshReading } from "./virsh.ts";
import { isNotRunning } from "./virsh-failure.ts";
import { attribute, child, childrenOf, parseXml, type XmlElement } from "./xml.ts";

/** A domain as it was found. */
export interface Domain {
  readonly state: MachineState;
  /** What it is at its next start, as text (without passwords) and read. */
  readonly text: string;
  readonly root: XmlElement;
  readonly disks: readonly DomainDisk[];
  /** Libvirt's own words: `shut off`, `in shutdown`. */
  readonly stateWords: string;
  /** Nothing of it runs any more. */
  readonly isGone: boolean;
}

/** Undefined when there is no domain of that name. */
export async function readDomain(virsh: Virsh, name: string): Promise<Domain | undefined> {
  const [domain] = await readThese(virsh, [checkedName(name)]);
  return domain;
}

/** All there are, in the order of their names; those that vanish meanwhile are left out. */
export async function readDomains(virsh: Virsh): Promise<readonly Domain[]> {
  // By UUID: names of other people's machines may look like numbers.
  const uuids = (await virsh.run(["list", "--all", "--uuid"])).split("\n").filter((line) => line.trim() !== "");
  const found: Domain[] = [];
  for (let done = 0; done < uuids.length; done += domainsAtOnce) {
    found.push(
      ...(await readThese(virsh, uuids.slice(done, done + domainsAtOnce))).filter((each) => each !== undefined),
    );
  }
  return found.sort((one, other) => (one.state.id.name < other.state.id.name ? -1 : 1));
}

/** A program's arguments have an end; and nobody else waits long for the answer. */
const domainsAtOnce = 20;

/**
 * The name of one domain and of nothing else: libvirt takes numbers for ids of running domains, and UUIDs for UUIDs.
 * @throws MesoError `invalid-setting`.
 */
export function checkedName(name: string): string {
  const isOther = /^\d+$/.test(name) || /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i.test(name);
  if (/^[A-Za-z0-9][A-Za-z0-9._+ -]{0,200}$/.test(name) && !isOther) return name;
  throw failure("invalid-setting", `libvirt cannot be asked for a machine called ${JSON.stringify(name)}`, {
    expected: "letters, digits, and . _ + - between them; neither a number nor a UUID",
  });
}

/** Names the configuration that the next start would use. */
export function versionOf(inactive: string): string {
  return sha256(inactive).slice(0, 32);
}

const questions = (domain: string): (readonly string[])[] => [
  ["dominfo", domain],
  ["domstate", domain, "--reason"],
  ["dumpxml", domain, "--inactive"],
  ["dumpxml", domain],
  ["snapshot-list", domain, "--name"],
  ["domjobinfo", domain],
];

async function readThese(virsh: Virsh, domains: readonly string[]): Promise<readonly (Domain | undefined)[]> {
  const answers = await virsh.readAll(domains.flatMap(questions));
  const each = questions("").length;
  return domains.map((_, index) => domainOf(answers.slice(index * each, (index + 1) * each)));
}

function domainOf(answers: readonly VirshReading[]): Domain | undefined {
  const texts = answers.map((answer) => ("text" in answer ? answer.text.trim() : ""));
  for (const answer of answers) {
    // What is off is not asked about jobs.
    if (!("error" in answer) || isNotRunning(answer.error)) continue;
    if (answer.error.code === "no-machine") return undefined;
    throw answer.error;
  }
  const [info, reasoned, inactive, active, snapshots, job] = texts as [string, string, string, string, string, string];
  const [, words, reason] = /^(.*?)(?: \((.*)\))?$/.exec(reasoned) ?? [];
  const root = parseXml(inactive);
  const disks = disksOf(root);
  const isGone = words === "shut off";
  // Of a machine that is off, both descriptions are the same.
  const [nowText, now] = isGone ? [inactive, root] : [active, parseXml(active)];
  const name = child(root, "name")?.text;
  assert(words !== undefined && name !== undefined, "libvirt tells state and name of a domain");
  const nowDisks = isGone ? disks : disksOf(now);
  const busy = busyWords(fields(info), fields(job), now);
  return {
    ...{ text: inactive, root, disks, isGone, stateWords: words },
    state: {
      id: { name },
      ...(attribute(root, "type") === "qemu" && { timeScale: slowness.tcg }),
      power: powerOf(words, reason),
      version: versionOf(inactive),
      slots: new Map(
        nowDisks.map(({ slot, volume, element }) => [slot, { volume, raw: nowText.slice(element.start, element.end) }]),
      ),
      staged: stagedDisks(nowDisks, disks),
      detached: [],
      ...(busy !== undefined && { busy }),
      hasAgent: hasAgent(now),
      snapshots: snapshots.split("\n").flatMap((line) => (line.trim() === "" ? [] : [line.trim()])),
    },
  };
}

/** `Name:   value`, a line each. */
function fields(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split("\n").flatMap((line) => {
      const colon = line.indexOf(":");
      return colon < 0 ? [] : [[line.slice(0, colon).trim(), line.slice(colon + 1).trim()] as const];
    }),
  );
}

/** Reasons for a pause in which libvirt itself is at work (virsh's manual: domstate). */
const workingPauses = /^(migrating|saving|dumping|starting up|creating snapshot|shutting down|post-copy)$/;

/** A machine whose QEMU died is off like any other: nothing runs. Crashed is one that is kept to be looked at. */
function powerOf(words: string, reason: string | undefined): MachineState["power"] {
  switch (words) {
    case "shut off":
      return "off";
    case "running":
    case "idle":
      return "on";
    case "crashed":
      return "crashed";
    case "paused":
      if (reason === "crashed") return "crashed";
      return workingPauses.test(reason ?? "") ? "changing" : "paused";
    case "pmsuspended":
      return "paused";
    default:
      return "changing";
  }
}

/** What the next start will find where the running machine has something else. */
function stagedDisks(now: readonly DomainDisk[], next: readonly DomainDisk[]): Map<string, string | "remove"> {
  const current = new Map(now.map(({ slot, volume }) => [slot, volume]));
  const coming = new Set(next.map(({ slot }) => slot));
  return new Map([
    ...next
      .filter(({ slot, volume }) => current.get(slot) !== volume)
      .map(({ slot, volume }) => [slot, volume] as const),
    ...now.filter(({ slot }) => !coming.has(slot)).map(({ slot }) => [slot, "remove"] as const),
  ]);
}

function busyWords(
  info: ReadonlyMap<string, string>,
  job: ReadonlyMap<string, string>,
  now: XmlElement,
): string | undefined {
  if (info.get("Managed save") === "yes") {
    return "its memory was saved with the disks of then (virsh managedsave): start it, or drop that by managedsave-remove";
  }
  if (info.get("Persistent") === "no") return "it is transient: libvirt forgets it as soon as it is off";
  const jobType = job.get("Job type") ?? "None";
  if (jobType !== "None") return `libvirt works on it: ${job.get("Operation") ?? `a job (${jobType.toLowerCase()})`}`;
  const mirrored = childrenOf(child(now, "devices"), "disk").find((disk) => child(disk, "mirror"));
  if (!mirrored) return undefined;
  return `a block job copies its disk ${attribute(child(mirrored, "target"), "dev")}`;
}

function hasAgent(domain: XmlElement): boolean {
  return childrenOf(child(domain, "devices"), "channel").some(
    (channel) => attribute(child(channel, "target"), "name") === "org.qemu.guest_agent.0",
  );
}
