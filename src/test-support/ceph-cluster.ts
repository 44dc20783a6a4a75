import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cleanupAtExit } from "../hypervisors/cleanup-at-exit.ts";

/** A real Ceph cluster of one monitor and one OSD on loopback, for one test. */
export interface CephCluster {
  /** Path of ceph.conf; it names each user's keyring. */
  readonly configuration: string;
  readonly keyring: (user: string) => string;
  /** `127.0.0.1:20123` */
  readonly monitor: string;
  /** Runs `rbd`, `rados` or `ceph` against it, as `admin` unless said, and gives its standard output. */
  readonly run: (program: string, args: readonly string[], user?: string) => Promise<string>;
  /** Ends the daemons and removes everything; again is fine. */
  readonly stop: () => Promise<void>;
}

export interface CephClusterOptions {
  readonly pools?: readonly string[];
  /** Capabilities by user, without `client.`: `{ reader: { mon: "profile rbd-read-only" } }`. `admin` may everything. */
  readonly users?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Seconds until a killed client's watch ends; Ceph's own 30 are long in a test. */
  readonly watchSeconds?: number;
  /** GiB; the file is sparse. */
  readonly size?: number;
  /** Default: below the folder for temporary files. */
  readonly parent?: string;
}

/**
 * Starts a cluster of its own in a temporary folder, in about a second; any number may run side by side. Its daemons
 * end with `stop()`, with this process, and even when this process is killed. Needs the Debian packages ceph-mon,
 * ceph-osd and ceph-common; no root.
 *
 * What makes it quick: no manager, which RBD never asks; keys are in the monitor's first keyring, so nothing is asked
 * to make them; the OSD makes its store while the monitor starts; its closing of files does not wait a quarter of a
 * second each time; the monitor agrees with itself without pausing.
 */
export async function startCephCluster(options: CephClusterOptions = {}): Promise<CephCluster> {
  const folder = mkdtempSync(join(options.parent ?? tmpdir(), "meso-ceph-"));
  const daemons: ChildProcess[] = [];
  const clean = (): void => {
    for (const daemon of daemons) daemon.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  };
  const forget = cleanupAtExit(clean);
  const stop = async (): Promise<void> => {
    await Promise.all(daemons.map(ended));
    clean();
    forget();
  };
  try {
    return { ...(await bringUp(folder, daemons, options)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function bringUp(folder: string, daemons: ChildProcess[], options: CephClusterOptions) {
  const { pools = ["rbd"], users = {} } = options;
  const configuration = join(folder, "ceph.conf");
  const keyring = (user: string): string => join(folder, `client.${user}.keyring`);
  for (const name of ["mon", "osd", "run"]) mkdirSync(join(folder, name));
  const cluster = randomUUID();
  const keys = { ...daemonKeys, ...prefixed(users) };
  for (const [name, caps] of Object.entries(keys)) {
    writeFileSync(join(folder, `${name}.keyring`), keyringText(name, caps), { mode: 0o600 });
  }
  const everyKey = join(folder, "every.keyring");
  writeFileSync(
    everyKey,
    Object.keys(keys)
      .map((name) => readFileSync(join(folder, `${name}.keyring`)))
      .join(""),
    {
      mode: 0o600,
    },
  );
  const run = (program: string, args: readonly string[], user = "admin"): Promise<string> =>
    output(program, ["--conf", configuration, "--id", user, ...args]);
  const daemon = (program: string, args: readonly string[], name: string): ChildProcess => {
    const started = startDaemon(program, ["--conf", configuration, ...args], join(folder, `${name}.log`));
    daemons.push(started);
    return started;
  };

  let port = 0;
  let store: Promise<unknown> = Promise.resolve();
  for (let attempt = 0; ; attempt++) {
    port = await freePort();
    const address = `[v2:127.0.0.1:${port}/0]`;
    writeFileSync(configuration, configurationText(folder, cluster, address, options));
    if (attempt === 0) {
      store = output("ceph-osd", ["--conf", configuration, "--mkfs", "--no-mon-config", "-i", "0"]);
      store.catch(() => {});
    }
    const map = join(folder, "monmap");
    await output("monmaptool", ["--create", "--clobber", "--fsid", cluster, "--addv", "a", address, map]);
    rmSync(join(folder, "mon"), { recursive: true });
    mkdirSync(join(folder, "mon"));
    await output("ceph-mon", ["--conf", configuration, "--mkfs", "-i", "a", "--monmap", map, "--keyring", everyKey]);
    if (await listens(daemon("ceph-mon", ["-f", "-i", "a"], "mon"), port)) break;
    if (attempt === 4) throw new Error(`the monitor ended: ${logTail(folder, "mon")}`);
  }
  const made = Promise.all(
    pools.map((pool) => run("ceph", ["osd", "pool", "create", pool, "8", "8", "replicated", "--size", "1"])),
  );
  await Promise.all([store, made]);
  daemon("ceph-osd", ["-f", "-i", "0"], "osd");
  // A client that meets no OSD asks again after seconds, unless told to be impatient.
  const impatient = ["--objecter_tick_interval", "0.05", "--objecter_timeout", "0.5"];
  await Promise.all(pools.map((pool) => run("rbd", ["pool", "init", ...impatient, pool])));
  return { configuration, keyring, monitor: `127.0.0.1:${port}`, run };
}

type Keys = Readonly<Record<string, Readonly<Record<string, string>>>>;

const daemonKeys: Keys = {
  "mon.": { mon: "allow *" },
  "osd.0": { mon: "allow profile osd", osd: "allow *", mgr: "allow profile osd" },
  "client.admin": { mon: "allow *", osd: "allow *", mgr: "allow *" },
};

function prefixed(users: Keys): Keys {
  return Object.fromEntries(Object.entries(users).map(([name, caps]) => [`client.${name}`, caps]));
}

function keyringText(name: string, caps: Readonly<Record<string, string>>): string {
  // A key is its type (1: AES), the time of its making, its length and its bytes (src/auth/Crypto.cc, CryptoKey::encode).
  const head = Buffer.alloc(12);
  head.writeUInt16LE(1, 0);
  head.writeUInt16LE(16, 10);
  const key = Buffer.concat([head, randomBytes(16)]).toString("base64");
  const lines = Object.entries(caps).map(([daemon, cap]) => `\tcaps ${daemon} = "${cap}"\n`);
  return `[${name}]\n\tkey = ${key}\n${lines.join("")}`;
}

function configurationText(folder: string, cluster: string, monitor: string, options: CephClusterOptions): string {
  const bytes = (options.size ?? 40) * 2 ** 30;
  const sections = {
    global: {
      fsid: cluster,
      mon_host: monitor,
      public_addr: "127.0.0.1",
      cluster_addr: "127.0.0.1",
      ms_bind_msgr1: false,
      auth_cluster_required: "cephx",
      auth_service_required: "cephx",
      auth_client_required: "cephx",
      auth_allow_insecure_global_id_reclaim: false,
      keyring: `${folder}/$name.keyring`,
      run_dir: `${folder}/run`,
      crash_dir: `${folder}/run`,
      admin_socket: "",
      log_file: "",
      err_to_stderr: true,
      // One copy on one host.
      osd_pool_default_size: 1,
      osd_pool_default_min_size: 1,
      osd_pool_default_pg_autoscale_mode: "off",
      osd_crush_chooseleaf_type: 0,
      mon_allow_pool_size_one: true,
      mon_warn_on_pool_no_redundancy: false,
    },
    mon: {
      mon_data: `${folder}/mon`,
      mon_cluster_log_file: "",
      mon_data_avail_warn: 0,
      mon_data_avail_crit: 0,
      ms_bind_retry_count: 1,
      paxos_propose_interval: 0.02,
      paxos_min_wait: 0.01,
    },
    osd: {
      osd_data: `${folder}/osd`,
      // Without one it does not answer `ceph tell` either; the path of a Unix socket ends at 107 bytes.
      admin_socket: folder.length < 90 ? `${folder}/run/osd` : "",
      osd_max_scrubs: 0,
      osd_client_watch_timeout: options.watchSeconds ?? 30,
      osd_mclock_skip_benchmark: true,
      osd_op_num_shards: 2,
      osd_op_num_threads_per_shard: 2,
      osd_open_classes_on_start: false,
      // Without this it holds a GiB of messages after long writes.
      osd_client_message_size_cap: 64 << 20,
      osd_min_pg_log_entries: 100,
      osd_max_pg_log_entries: 200,
      bluestore_block_size: bytes,
      bluestore_block_wal_create: false,
      bluestore_block_db_create: false,
      bluestore_cache_autotune: false,
      bluestore_cache_size: 64 << 20,
      bluestore_rocksdb_options_annex: `write_buffer_size=${16 << 20}`,
      bluestore_fsck_on_mkfs: false,
      bdev_aio_poll_ms: 10,
    },
  };
  return Object.entries(sections)
    .map(([section, settings]) => {
      const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
      return `[${section}]\n${lines.join("\n")}\n`;
    })
    .join("\n");
}

/** Killed by the kernel when this process ends without having been able to. */
function startDaemon(program: string, args: readonly string[], log: string): ChildProcess {
  const file = openSync(log, "a");
  try {
    return spawn("setpriv", ["--pdeathsig", "KILL", program, ...args], {
      stdio: ["ignore", file, file],
      // Fewer arenas of glibc's allocator: a quarter less memory after many writes.
      env: { ...cephFreeEnvironment(), MALLOC_ARENA_MAX: "2" },
    });
  } finally {
    closeSync(file);
  }
}

/** Ceph's programs read settings from the environment; those of a person's own cluster must not reach this one. */
function cephFreeEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("CEPH_")));
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGKILL");
  });
}

/** Whether the daemon came to listen on the port; false when it ended, as it does when the port was taken meanwhile. */
async function listens(daemon: ChildProcess, port: number): Promise<boolean> {
  const deadline = performance.now() + startPatience;
  while (daemon.exitCode === null && daemon.signalCode === null) {
    if (performance.now() > deadline) throw new Error("the monitor did not listen in time");
    if (await accepts(port)) return daemon.exitCode === null;
    await sleep(10);
  }
  return false;
}

const startPatience = 60_000;

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** A port that nobody listens on now; the monitor ends when somebody takes it first, and another is tried. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}

function output(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: cephFreeEnvironment() });
    const timer = setTimeout(() => child.kill("SIGKILL"), startPatience);
    const texts = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (text: string) => {
        texts[name] += text;
      });
    }
    child.once("error", reject).once("close", (code, signal) => {
      clearTimeout(timer);
      if (code === 0) resolve(texts.stdout);
      else reject(new Error(`${program} ${args.slice(4).join(" ")} ended with ${code ?? signal}: ${texts.stderr}`));
    });
  });
}

function logTail(folder: string, name: string): string {
  return readFileSync(join(folder, `${name}.log`), "utf8").slice(-2000);
}
