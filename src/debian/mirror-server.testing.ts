import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { PrivateKey } from "openpgp";
import * as openpgp from "openpgp";
import type { ArchiveRequest } from "./download.ts";
import type { Mirrors } from "./mirror.ts";

/** What goes wrong with a file, and how often (always, when not said). */
export type Fault =
  | { readonly kind: "truncate"; readonly bytes: number; readonly times?: number }
  | { readonly kind: "status"; readonly status: number; readonly times?: number }
  | { readonly kind: "stall"; readonly bytes: number; readonly times?: number }
  | { readonly kind: "body"; readonly body: Buffer; readonly times?: number }
  | { readonly kind: "endless"; readonly times?: number }
  | { readonly kind: "redirect"; readonly to: string; readonly times?: number };

export interface TestMirror extends AsyncDisposable {
  readonly url: string;
  /** Files by path, as they should be. */
  readonly files: Map<string, Buffer>;
  readonly faults: Map<string, Fault>;
  /** What was asked for: "path" or "path from OFFSET". */
  readonly asked: string[];
  /** Answers requests for a part of a file with the part. */
  ranges: boolean;
  /** Before each answer. */
  latencyMilliseconds: number;
  /** Most connections that were open at once. */
  readonly connections: { most: number; total: number };
}

/** A mirror on loopback that fails as told. */
export async function startMirror(): Promise<TestMirror> {
  const mirror = {
    files: new Map<string, Buffer>(),
    faults: new Map<string, Fault>(),
    asked: [] as string[],
    ranges: true,
    latencyMilliseconds: 0,
    connections: { most: 0, total: 0 },
  };
  let open = 0;
  const server = createServer((request, response) => {
    setTimeout(() => answer(mirror, request, response), mirror.latencyMilliseconds);
  });
  server.on("connection", (socket) => {
    open++;
    mirror.connections.total++;
    mirror.connections.most = Math.max(mirror.connections.most, open);
    socket.on("close", () => open--);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(mirror, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/debian`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

function answer(mirror: Omit<TestMirror, "url" | symbol>, request: IncomingMessage, response: ServerResponse): void {
  // A proxy is asked with the whole address.
  const path = decodeURIComponent(new URL(request.url!, "http://127.0.0.1").pathname).replace(/^\/debian\//, "");
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  mirror.asked.push(from > 0 ? `${path} from ${from}` : path);
  const fault = takeFault(mirror.faults, path);
  if (fault?.kind === "status") return void response.writeHead(fault.status).end();
  if (fault?.kind === "redirect") return void response.writeHead(302, { location: fault.to }).end();
  if (fault?.kind === "endless") return void pourForever(response);
  const file = fault?.kind === "body" ? fault.body : mirror.files.get(path);
  if (!file) return void response.writeHead(404).end();
  const start = mirror.ranges ? from : 0;
  if (start > 0 && start >= file.length) return void response.writeHead(416).end();
  const body = file.subarray(start);
  const range = start > 0 ? { "content-range": `bytes ${start}-${file.length - 1}/${file.length}` } : {};
  response.writeHead(start > 0 ? 206 : 200, { "content-length": body.length, ...range });
  if (fault?.kind === "truncate") response.write(body.subarray(0, fault.bytes), () => response.destroy());
  else if (fault?.kind === "stall") response.write(body.subarray(0, fault.bytes));
  else response.end(body);
}

/** Without a length, so that only counting what arrives can end it. */
function pourForever(response: ServerResponse): void {
  const chunk = Buffer.alloc(65536);
  const pour = () => {
    while (!response.destroyed && response.write(chunk));
    if (!response.destroyed) response.once("drain", pour);
  };
  pour();
}

function takeFault(faults: Map<string, Fault>, path: string): Fault | undefined {
  const fault = faults.get(path);
  if (fault?.times === undefined) return fault;
  if (fault.times <= 1) faults.delete(path);
  else faults.set(path, { ...fault, times: fault.times - 1 });
  return fault;
}

/** A folder that goes away with its scope. */
export function scratchFolder(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), "meso-mirror-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

export function mirrorsAt(url: string, keyring = "/nowhere"): Mirrors {
  return { main: [url], security: [`${url}-security`], keyrings: [{ file: keyring }], proxy: {} };
}

/** Bytes that look random and are the same each time. */
export function noise(seed: string, length: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, i) => digest(`${seed} ${i}`));
  return Buffer.concat(blocks).subarray(0, length);
}

export function requestFor(path: string, contents: Buffer): ArchiveRequest {
  return { archive: "main", path, sha256: digest(contents).toString("hex"), size: contents.length };
}

function digest(data: string | Buffer): Buffer {
  return createHash("sha256").update(data).digest();
}

export interface TestKey {
  readonly privateKey: PrivateKey;
  /** A file of the public key, binary. */
  readonly keyring: string;
}

/** A key made at `date`, its public half written to `keyring`. */
export async function makeKey(keyring: string, date: Date, validSeconds?: number): Promise<TestKey> {
  const { privateKey } = await openpgp.generateKey({
    userIDs: [{ name: "Test archive" }],
    format: "object",
    date,
    ...(validSeconds !== undefined && { keyExpirationTime: validSeconds }),
  });
  writeFileSync(keyring, privateKey.toPublic().write());
  return { privateKey, keyring };
}

export async function clearSign(text: string, key: PrivateKey, date: Date): Promise<string> {
  const message = await openpgp.createCleartextMessage({ text });
  return (await openpgp.sign({ message, signingKeys: key, date })).replaceAll("\r\n", "\n");
}

export interface ReleaseParts {
  readonly suite?: string;
  readonly codename?: string;
  readonly date: Date;
  readonly validUntil?: Date;
  readonly byHash?: boolean;
  readonly files: ReadonlyMap<string, Buffer>;
  readonly more?: string;
}

/** Text of a Release file for files by path relative to the suite. */
export function releaseText(parts: ReleaseParts): string {
  const lines = [
    "Origin: Debian",
    `Suite: ${parts.suite ?? "stable"}`,
    `Codename: ${parts.codename ?? "trixie"}`,
    `Date: ${parts.date.toUTCString().replace("GMT", "UTC")}`,
    ...(parts.validUntil ? [`Valid-Until: ${parts.validUntil.toUTCString().replace("GMT", "UTC")}`] : []),
    ...(parts.byHash === false ? [] : ["Acquire-By-Hash: yes"]),
    "Architectures: all amd64 arm64",
    "Components: main contrib",
    ...(parts.more ? [parts.more] : []),
    "SHA256:",
    ...[...parts.files].map(([path, bytes]) => ` ${digest(bytes).toString("hex")} ${bytes.length} ${path}`),
  ];
  return lines.join("\n");
}

export function writeAt(root: string, path: string, contents: string | Buffer): void {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, contents);
}
