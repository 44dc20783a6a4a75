import { execFile } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { hashOf } from "../base/hash.ts";
import { testCacheFolder } from "../test-support/test-session.ts";
import { readMirrors } from "./mirror.ts";
import type { PackagesText } from "./package-index-writer.ts";

/** For tests only: what apt itself chooses, in an empty root of its own under a temporary folder. */
export interface AptOracle {
  /** The `Packages` files that apt reads, in the order of its sources. */
  texts(): Generator<PackagesText>;
  /** What `apt-get install` would fetch, sorted; `undefined` when it says that it cannot. */
  install(names: readonly string[], options?: readonly string[]): Promise<AptChoice[] | undefined>;
}

export interface AptChoice {
  readonly name: string;
  readonly sha256: string;
  /** Bytes of the archive. */
  readonly size: number;
}

/** apt over the configured mirror's main, updates and security of a suite; fetched once a day. */
export async function aptOverMirror(suite: string, architecture: string): Promise<AptOracle> {
  const cache = testCacheFolder();
  const day = new Date().toISOString().slice(0, 10);
  const prefix = `apt-${suite}-${architecture}-`;
  const folder = join(cache, prefix + day);
  const mirrors = readMirrors();
  const keys = mirrors.keyrings.flatMap((keyring) => ("file" in keyring ? [keyring.file] : []));
  const line = (uri: string | undefined, of: string) => `deb [signed-by=${keys.join(",")}] ${uri} ${of} main\n`;
  const suites = [suite, `${suite}-updates`, `${suite}-security`];
  const sources = suites.map((of) => line(of.endsWith("security") ? mirrors.security[0] : mirrors.main[0], of));
  mkdirSync(cache, { recursive: true });
  const old = readdirSync(cache).filter((name) => name.startsWith(prefix));
  if (!old.includes(prefix + day)) {
    const aside = mkdtempSync(join(cache, "new-"));
    await privateApt(aside, architecture, [], mirrors.proxy).update(sources.join(""));
    try {
      renameSync(aside, folder);
    } catch {
      // Another process was faster.
      rmSync(aside, { recursive: true });
    }
    for (const name of old) rmSync(join(cache, name), { recursive: true, force: true });
  }
  // The folder was moved since the update.
  const apt = privateApt(folder, architecture, [], mirrors.proxy);
  apt.configure();
  return {
    install: (names, options) =>
      remembered(join(folder, "answers"), { names, options }, () => apt.install(names, options)),
    *texts() {
      const lists = join(folder, "state/lists");
      for (const of of suites) {
        const list = readdirSync(lists).find((name) => name.endsWith("_Packages") && name.includes(`_dists_${of}_`));
        if (list === undefined) throw new Error(`apt fetched no Packages of ${of}`);
        const text = readFileSync(join(lists, list));
        const archive = of.endsWith("security") ? "security" : "main";
        yield { text, archive, suite: of, component: "main", architecture };
      }
    },
  };
}

/** What apt answered to the same question over the same lists; a question takes it a third of a second. */
async function remembered<T>(folder: string, question: unknown, ask: () => Promise<T>): Promise<T> {
  const file = join(folder, `${hashOf(question)}.json`);
  if (existsSync(file)) return JSON.parse(readFileSync(file, "utf8")).answer;
  const answer = await ask();
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${file}.${process.pid}`, JSON.stringify({ answer }));
  renameSync(`${file}.${process.pid}`, file);
  return answer;
}

/** apt over one `Packages` text of packages that are invented. */
export async function aptOverText(
  text: string,
  folder: string,
  architecture: string,
  foreign: readonly string[] = [],
): Promise<AptOracle> {
  const archive = join(folder, "archive");
  mkdirSync(archive, { recursive: true });
  writeFileSync(join(archive, "Packages"), text);
  const apt = privateApt(folder, architecture, foreign, {});
  await apt.update(`deb [trusted=yes] file:${archive} ./\n`);
  return {
    install: apt.install,
    *texts() {
      yield { text, archive: "main", suite: "invented", component: "main", architecture };
    },
  };
}

/** apt with every path below `folder` and nothing of the machine's own configuration. */
function privateApt(
  folder: string,
  architecture: string,
  foreign: readonly string[],
  proxy: Readonly<Record<string, string>>,
) {
  const configuration = join(folder, "apt.conf");
  const environment = { PATH: process.env.PATH, LC_ALL: "C", APT_CONFIG: configuration, ...proxy };
  const run = async (tool: string, ...parameters: string[]) =>
    (await promisify(execFile)(tool, parameters, { env: environment, maxBuffer: 2 ** 26 })).stdout;
  const configure = () => {
    for (const path of ["etc", "state/lists/partial", "cache/archives/partial"]) {
      mkdirSync(join(folder, path), { recursive: true });
    }
    writeFileSync(join(folder, "status"), "");
    const settings = [
      `Dir::State "${folder}/state";`,
      `Dir::State::status "${folder}/status";`,
      `Dir::Cache "${folder}/cache";`,
      `Dir::Etc "${folder}/etc";`,
      'Dir::Etc::parts "/dev/null"; Dir::Etc::main "/dev/null";',
      'APT::Sandbox::User "root"; Acquire::Languages "none"; Acquire::ForceHash "SHA256"; Debug::NoLocking "true";',
      `APT::Architecture "${architecture}";`,
      `APT::Architectures { ${[architecture, ...foreign].map((name) => `"${name}";`).join(" ")} };`,
    ];
    writeFileSync(configuration, `${settings.join("\n")}\n`);
  };
  return {
    configure,
    async update(sources: string): Promise<void> {
      configure();
      writeFileSync(join(folder, "etc/sources.list"), sources);
      await run("apt-get", "-qq", "update");
    },
    async install(
      names: readonly string[],
      options: readonly string[] = ["--no-install-recommends"],
    ): Promise<AptChoice[] | undefined> {
      try {
        const lines = await run("apt-get", "-qq", "--print-uris", ...options, "install", ...names);
        return lines.trim().split("\n").filter(Boolean).map(toChoice).sort(byName);
      } catch (error) {
        if ((error as { code?: unknown }).code === 100) return undefined;
        throw error;
      }
    },
  };
}

/** `'URI' NAME_VERSION_ARCHITECTURE.deb SIZE SHA256:DIGEST` */
function toChoice(line: string): AptChoice {
  const match = /^'[^']*' ([^_ ]+)_\S* (\d+) SHA256:([0-9a-f]{64})$/.exec(line);
  if (match === null) throw new Error(`apt printed another line than expected: ${line}`);
  return { name: match[1]!, size: Number(match[2]), sha256: match[3]! };
}

function byName(a: AptChoice, b: AptChoice): number {
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return a.sha256 < b.sha256 ? -1 : 1;
}
