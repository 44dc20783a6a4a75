import { type ChildProcess, spawn } from "node:child_process";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { failure } from "../base/error.ts";
import { inOrderOfNeed } from "./copy-items.ts";
import { exportItems, importItems } from "./export-items.ts";
import type { Items } from "./items.ts";
import type { Store } from "./store.ts";
import { isItemName } from "./store-path.ts";

/** A store on another host, reached by logging in there and running `meso`. */
export interface RemoteStore {
  /** As ssh takes it: `HOST` or `USER@HOST`. */
  readonly host: string;
  readonly port?: number;
  /** Folder of the store there; its own default unless given. */
  readonly directory?: string;
  /** What to run there. */
  readonly program: string;
}

/** @throws MesoError `bad-cache` for anything but `ssh://[USER@]HOST[:PORT][/FOLDER]`. */
export function parseRemoteStore(address: string, program = "meso"): RemoteStore {
  const match = /^ssh:\/\/((?:[A-Za-z0-9._-]+@)?[A-Za-z0-9.-]+)(?::(\d+))?(\/.+)?$/.exec(address);
  // What starts with a hyphen would be an option of ssh.
  if (!match || match[1]!.startsWith("-")) {
    throw failure("bad-cache", `found the address ${JSON.stringify(address)}`, {
      expected: "ssh://[USER@]HOST[:PORT][/FOLDER OF THE STORE]",
    });
  }
  const [, host, port, directory] = match;
  return { host: host!, program, ...(port && { port: Number(port) }), ...(directory && { directory }) };
}

/** Copies items with everything that they need to another host. Gives the paths that were sent. */
export async function copyToRemote(items: Items, paths: Iterable<string>, remote: RemoteStore, signal?: AbortSignal) {
  const records = inOrderOfNeed(items, paths);
  const all = records.map(({ path }) => path);
  const missing = new Set(await askRemote(remote, ["store", "missing"], all, signal));
  const sent = records.filter(({ path }) => missing.has(path));
  if (sent.length === 0) return [];
  const child = begin(remote, ["store", "import"], signal);
  const ended = endOf(child, remote);
  // The far end tells best why it does not take more.
  const [fed] = await Promise.allSettled([pipeline(Readable.from(exportItems(items, sent)), child.stdin!), ended]);
  await ended;
  if (fed.status === "rejected") throw fed.reason;
  return sent.map(({ path }) => path);
}

/** Copies items with everything that they need from another host. Gives the paths that became valid. */
export async function copyFromRemote(
  store: Store,
  items: Items,
  paths: readonly string[],
  remote: RemoteStore,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  const closure = await askRemote(remote, ["store", "closure"], paths, signal);
  await items.hold(closure);
  const missing = closure.filter((path) => !items.record(path));
  if (missing.length === 0) return [];
  const child = begin(remote, ["store", "export"], signal);
  const ended = endOf(child, remote);
  child.stdin!.on("error", () => {});
  child.stdin!.end(lines(missing));
  const [taken] = await Promise.allSettled([importItems(store, items, child.stdout!), ended]);
  if (taken.status === "rejected") {
    child.kill();
    // A stream that ends too soon does so because the far end failed.
    await ended;
    throw taken.reason;
  }
  return taken.value;
}

async function askRemote(
  remote: RemoteStore,
  words: readonly string[],
  paths: readonly string[],
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  const child = begin(remote, words, signal);
  const ended = endOf(child, remote);
  child.stdin!.on("error", () => {});
  child.stdin!.end(lines(paths));
  let text = "";
  child.stdout!.setEncoding("utf8").on("data", (piece: string) => {
    text += piece;
  });
  await ended;
  const answer = text.split("\n").filter(Boolean);
  const strange = answer.find((path) => !isItemName(path.slice(path.lastIndexOf("/") + 1)));
  if (strange === undefined) return answer;
  throw failure("remote-failed", `${remote.host} answered ${JSON.stringify(strange.slice(0, 100))}`, {
    expected: "paths of items",
  });
}

function lines(paths: readonly string[]): string {
  return paths.map((path) => `${path}\n`).join("");
}

function begin(remote: RemoteStore, words: readonly string[], signal: AbortSignal | undefined): ChildProcess {
  const { host, port, directory, program } = remote;
  const there = [program, ...words, ...(directory === undefined ? [] : ["--store", quoted(directory)])].join(" ");
  const options = [...(port === undefined ? [] : ["-p", String(port)]), "-T"];
  return spawn("ssh", [...options, host, "--", there], {
    stdio: ["pipe", "pipe", "pipe"],
    ...(signal && { signal }),
  });
}

/** Rejects with the far end's last words when it was not content. */
async function endOf(child: ChildProcess, { host, program }: RemoteStore): Promise<void> {
  let said = "";
  child.stderr!.setEncoding("utf8").on("data", (piece: string) => {
    said = (said + piece).slice(-4000);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (code === 0) return;
  throw failure("remote-failed", `${program} on ${host} ended with ${code ?? "a signal"}: ${said.trim()}`, {
    ...(code === 127 && { hint: "name where it is there: --remote-program" }),
  });
}

/** For the shell of the other host. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
