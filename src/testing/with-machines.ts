import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { cwd, env } from "node:process";
import { MesoError, type Problem } from "../base/error.ts";
import type { Report } from "../base/progress.ts";
import { type DiskImage, diskImage } from "../build/disk-image.ts";
import { lockPlace } from "../build/lock-place.ts";
import { type PreparedSystem, prepareSystem } from "../build/prepare.ts";
import type { BuildSession } from "../build/session.ts";
import { cleanupAtExit } from "../hypervisors/cleanup-at-exit.ts";
import type { Credentials } from "../hypervisors/hypervisor.ts";
import { keepEvidence } from "../hypervisors/keep-evidence.ts";
import type { QemuNic } from "../hypervisors/qemu-networks.ts";
import type { MachineDisk, MachineOptions } from "../hypervisors/start-machine.ts";
import { diskRecipe } from "../image/extent.ts";
import { type NbdServer, serveNbd } from "../image/output/nbd-server.ts";
import { writeQcow2 } from "../image/output/qcow2.ts";
import type { Machine } from "../language/centre.ts";
import type { OperatingSystem } from "../language/operating-system.ts";
import { defaultStoreDirectory, openStore } from "../store/store.ts";
import { type DescribedMachine, describeMachine, macOf, outside, type TestMachine } from "./described-machine.ts";
import { type MachineUnderTest, machineUnderTest } from "./machine-under-test.ts";
import { type PoweredMachine, poweredMachine } from "./powered-machine.ts";
import { type Wires, wires } from "./wires.ts";

export interface StoryOptions {
  /** `none`: the story starts them itself. Default: `all` are started, and the story begins when they have booted. */
  readonly starts?: "all" | "none";
  /** Values of secrets, by name, for every machine that needs them; what a machine says for itself comes first. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** Default: `meso.lock` of the folder that the test runs in, or above. */
  readonly lock?: string;
  /** Default: the one that `meso` uses. */
  readonly store?: string;
  /** Where a story that fails leaves consoles, journals and screenshots. Default: a new folder for temporary files. */
  readonly evidence?: string;
  /** Hears how far building is. */
  readonly report?: Report;
  readonly signal?: AbortSignal;
}

/**
 * Boots machines in QEMU, tells the story, and ends them whatever happens. Disks are served from the store, no image is
 * written; what machines write goes to layers that are thrown away. Machines share wires as their `cards` say; on these,
 * one that asks by DHCP gets an address of 10.77.0.0/24, in the order of the names given, from 10.77.0.10.
 *
 *     await withMachines({ web: webServer, client: laptop }, async ({ web, client }) => {
 *       await client.succeeds(`curl -sf http://${await web.address()}/`);
 *       await web.kill();
 *       await client.waitUntilFails(`curl -sf http://${await …}/`);
 *     });
 *
 * @throws whatever the story throws, with the folder where the evidence is; MesoError for systems that cannot be built.
 */
export async function withMachines<Name extends string>(
  described: Readonly<Record<Name, OperatingSystem | Machine | TestMachine>>,
  story: (machines: Readonly<Record<Name, MachineUnderTest>>) => Promise<void>,
  options: StoryOptions = {},
): Promise<void> {
  const machines = Object.entries(described).map(([name, given]) => {
    return [name, describeMachine(name, given as TestMachine)] as const;
  });
  const session = sessionOf(options);
  const prepared: Prepared[] = [];
  for (const [name, machine] of machines) {
    prepared.push({ name, machine, prepared: await prepareSystem(session, machine.os) });
  }
  const secrets = new Map(prepared.map((one) => [one.name, secretsOf(one, options.secrets)]));
  const missing = [...secrets.values()].flatMap(({ problems }) => problems);
  if (missing.length > 0) throw new MesoError(missing);
  const built: Built[] = [];
  for (const one of prepared) built.push({ ...one, image: await diskImage(session, one.prepared) });
  const folder = mkdtempSync(join(tmpdir(), "meso-story-"));
  const release = cleanupAtExit(() => rmSync(folder, { recursive: true, force: true }));
  const stage: Stage = { folder, session, servers: [], powered: new Map(), wires: undefined };
  try {
    const tested = await setUp(stage, built, (name) => secrets.get(name)!.values);
    try {
      if (options.starts !== "none") await Promise.all([...tested.values()].map((each) => each.start()));
      await story(Object.fromEntries(tested) as Record<Name, MachineUnderTest>);
    } catch (error) {
      throw await withEvidence(error, stage, options.evidence);
    }
    const problem = stage.servers.map((server) => server.problem()).find((each) => each !== undefined);
    if (problem) throw problem;
  } finally {
    await tearDown(stage);
    release();
  }
}

interface Prepared {
  readonly name: string;
  readonly machine: DescribedMachine;
  readonly prepared: PreparedSystem;
}

interface Built extends Prepared {
  readonly image: DiskImage;
}

/** What has been set up, and must be taken down. */
interface Stage {
  readonly folder: string;
  readonly session: BuildSession;
  readonly servers: NbdServer[];
  readonly powered: Map<string, PoweredMachine>;
  wires: Wires | undefined;
}

function sessionOf({ lock, store, report = () => {}, signal = new AbortController().signal }: StoryOptions) {
  return {
    store: openStore(store === undefined ? defaultStoreDirectory(env) : resolve(store)),
    lockFile: lock === undefined ? lockPlace(join(cwd(), "story.ts")) : resolve(lock),
    ...{ report, signal, stages: new Map() },
  } satisfies BuildSession;
}

/** Without one of them the machine would wait for it until the story gives up. */
function secretsOf({ name, machine, prepared }: Prepared, common: StoryOptions["secrets"] = {}) {
  const given = { ...common, ...machine.secrets };
  const needed = prepared.manifest.secrets;
  const problems = needed.flatMap((secret): Problem[] => {
    if (given[secret] !== undefined) return [];
    const hint = `{ os, secrets: { ${JSON.stringify(secret)}: "…" } }, or the story's option \`secrets\``;
    return [{ code: "no-secret", what: `${name} needs the secret ${secret}, and the story gives none`, hint }];
  });
  return { problems, values: new Map(needed.map((secret) => [secret, given[secret]!])) };
}

async function setUp(
  stage: Stage,
  built: readonly Built[],
  secretsFor: (name: string) => Credentials,
): Promise<ReadonlyMap<string, MachineUnderTest>> {
  const cards = built.flatMap(({ machine }) => machine.cards.filter(({ wire }) => wire !== outside));
  stage.wires = wires(stage.folder, cards);
  const tested = new Map<string, MachineUnderTest>();
  for (const [index, { name, machine, prepared, image }] of built.entries()) {
    const socketPath = join(stage.folder, `disk${index}`);
    stage.servers.push(await serveNbd(image.recipe, { socketPath, files: stage.session.store }));
    const plugged = await stage.wires.plug(machine.cards.filter(({ wire }) => wire !== outside));
    const { architecture } = prepared.manifest;
    const managementMac = macOf(name, 99);
    const settings: MachineOptions = {
      ...{ name, architecture, firmware: machine.firmware, memoryMebibytes: machine.memoryMebibytes },
      ...(machine.cores !== undefined && { cores: machine.cores }),
      disks: disksOf(stage.folder, index, machine, { kind: "nbd", socketPath, size: image.recipe.size }),
      nics: nicsOf(machine, plugged.socketPaths),
      credentials: secretsFor(name),
      ...(machine.ssh && { management: { mac: managementMac } }),
      cacheDirectory: join(stage.session.store.directory, "cache"),
    };
    const powered = poweredMachine(name, settings, managementMac);
    stage.powered.set(name, powered);
    const { checks } = prepared.manifest;
    tested.set(name, machineUnderTest(name, powered, { checks, setCables: plugged.setCables }));
  }
  return tested;
}

/** The root first, on a layer that lasts as long as the story; volumes in slots after it. */
function disksOf(folder: string, index: number, { volumes }: DescribedMachine, root: MachineDisk): MachineDisk[] {
  const empty = [...volumes].map(([serial, size], place): MachineDisk => {
    const path = join(folder, `volume${index}-${place}`);
    writeQcow2(diskRecipe(size, []), path, { segmentDataPath: () => "" });
    return { kind: "qcow2", path, serial, keepWrites: true };
  });
  return [{ ...root, layer: join(folder, `layer${index}`) }, ...empty];
}

function nicsOf({ cards }: DescribedMachine, socketPaths: ReadonlyMap<string, string>): QemuNic[] {
  return cards.map(({ wire, mac }) => {
    const socketPath = socketPaths.get(mac);
    if (wire === outside || socketPath === undefined) return { mac, network: { kind: "user" } };
    return { mac, network: { kind: "switch", socketPath } };
  });
}

async function tearDown({ powered, servers, wires, folder }: Stage): Promise<void> {
  await Promise.all([...powered.values()].map((each) => each.cut()));
  await Promise.all(servers.map((server) => server.close()));
  await wires?.close();
  rmSync(folder, { recursive: true, force: true });
}

/** The same error, which tells where to look. */
async function withEvidence(error: unknown, { powered }: Stage, place: string | undefined): Promise<unknown> {
  const folder = place === undefined ? mkdtempSync(join(tmpdir(), "meso-evidence-")) : resolve(place);
  for (const [name, machine] of powered) {
    await keepEvidence(folder, name.replaceAll("/", "-"), machine.consoleText(), machine.now());
  }
  if (error instanceof Error) error.message += `\nconsoles, journals and screenshots: ${folder}`;
  return error;
}
