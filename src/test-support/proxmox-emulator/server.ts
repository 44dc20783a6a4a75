import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type Endpoint, schema } from "../../hypervisors/proxmox/schema.testing.ts";
import { type Access, checkPermission } from "./access.ts";
import type { Certificate } from "./certificate.ts";
import { Refusal } from "./refusal.ts";
import { type Parameters, validate } from "./validate.ts";
import { type Operation, reachNode, type World } from "./world.ts";

/** Something that goes wrong on the way, as often as said. */
export interface Fault {
  readonly method: string;
  readonly path: RegExp;
  /**
   * `lost`: done, and the connection breaks before the answer; `dropped`: it breaks before anything is done;
   * 595, 596: done, and the proxy says this instead; `late`: the answer comes after some seconds; `meanwhile`: only
   * something else happens first.
   */
  readonly kind: "lost" | "dropped" | 595 | 596 | "late" | "meanwhile";
  readonly happens?: () => unknown;
  readonly seconds?: number;
  times: number;
}

export interface HeardRequest {
  readonly method: string;
  readonly path: string;
  readonly parameters: Parameters;
}

/** What the servers of all nodes share. */
export interface ServerContext {
  readonly world: World;
  readonly access: Access;
  readonly operations: Readonly<Record<string, Operation>>;
  readonly faults: Fault[];
  readonly heard: HeardRequest[];
}

const maxBody = 512 * 1024;

export async function serve(
  context: ServerContext,
  certificate: Certificate,
): Promise<{ server: Server; port: number }> {
  const server = createServer({ key: certificate.key, cert: certificate.certificate }, (request, response) => {
    answer(context, request, response).catch((error: unknown) => {
      // A fault of the emulator itself must be seen, not taken for one of the program under test.
      console.error(error);
      response.destroy();
    });
  });
  server.keepAliveTimeout = 5000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, port: (server.address() as AddressInfo).port };
}

async function answer(context: ServerContext, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "https://node");
  const method = request.method ?? "GET";
  const path = url.pathname.replace(/^\/api2\/json/, "");
  const body = await read(request);
  const fault = context.faults.find((one) => one.times > 0 && one.method === method && one.path.test(path));
  if (fault) fault.times--;
  if (fault?.kind === "dropped") return void request.socket.destroy();
  await fault?.happens?.();
  const outcome = await outcomeOf(context, { method, path, body, url, request });
  if (fault?.kind === "lost") return void request.socket.destroy();
  if (fault?.kind === "late") await sleep((fault.seconds ?? 1) * 1000);
  if (fault?.kind === 595 || fault?.kind === 596) return send(response, fault.kind, "", "");
  if (outcome instanceof Refusal) {
    const text =
      outcome.status >= 595
        ? ""
        : JSON.stringify({ data: null, message: outcome.message, ...(outcome.errors && { errors: outcome.errors }) });
    return send(response, outcome.status, outcome.message, text);
  }
  send(response, 200, "OK", JSON.stringify({ data: outcome.data ?? null }));
}

interface Incoming {
  readonly method: string;
  readonly path: string;
  readonly body: Buffer;
  readonly url: URL;
  readonly request: IncomingMessage;
}

async function outcomeOf(context: ServerContext, incoming: Incoming): Promise<{ data: unknown } | Refusal> {
  const { world } = context;
  try {
    const identity = context.access.identify(incoming.request.headers.authorization);
    const given = parametersOf(incoming);
    context.heard.push({ method: incoming.method, path: incoming.path, parameters: given.parameters });
    const { name, endpoint, path } = route(incoming);
    const all = { ...path, ...given.parameters };
    const checked = validate(endpoint, world.version, all, given.isForm);
    checkPermission(endpoint, world.version, identity, path);
    const node = path.node ?? world.nodes[0]!.name;
    if (path.node !== undefined) reachNode(world, node);
    const parameters = Object.fromEntries(Object.entries(checked).filter(([key]) => path[key] === undefined));
    const data = await context.operations[name]!({ world, identity, node, path, parameters });
    return { data };
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}

function route({ method, path }: Incoming): { name: string; endpoint: Endpoint; path: Record<string, string> } {
  const parts = path.split("/");
  for (const [name, endpoint] of Object.entries(schema.endpoints)) {
    const [wanted, template] = name.split(" ") as [string, string];
    const pattern = template.split("/");
    if (wanted !== method || pattern.length !== parts.length) continue;
    const found: Record<string, string> = {};
    const fits = pattern.every((word, index) => {
      const key = /^\{(\w+)\}$/.exec(word)?.[1];
      if (key === undefined) return word === parts[index];
      found[key] = decodeURIComponent(parts[index]!);
      return true;
    });
    if (fits) return { name, endpoint, path: found };
  }
  throw new Refusal(501, `Method '${method} ${path}' not implemented`);
}

/** A query for GET and DELETE; else a body, in JSON or as a form. */
function parametersOf({ method, body, url, request }: Incoming): { parameters: Parameters; isForm: boolean } {
  if (body.length > maxBody) throw new Refusal(413, "for data too large");
  if (method === "GET" || method === "DELETE") {
    if (body.length > 0) throw new Refusal(501, "Unexpected content for method 'GET'");
    return { parameters: repeated(url.searchParams), isForm: true };
  }
  if (/^application\/json/.test(request.headers["content-type"] ?? "")) {
    return { parameters: body.length === 0 ? {} : (JSON.parse(body.toString("utf8")) as Parameters), isForm: false };
  }
  return { parameters: repeated(new URLSearchParams(body.toString("utf8"))), isForm: true };
}

function repeated(pairs: URLSearchParams): Parameters {
  return Object.fromEntries(
    [...new Set(pairs.keys())].map((key) => {
      const values = pairs.getAll(key);
      return [key, values.length > 1 ? values : values[0]];
    }),
  );
}

function send(response: ServerResponse, status: number, reason: string, text: string): void {
  // The status line holds the message, without what a line cannot hold.
  response.statusMessage = reason.replace(/[^\x20-\x7e]+/g, " ").trim();
  response.writeHead(status, { "content-type": "application/json;charset=UTF-8" });
  response.end(text);
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
  return Buffer.concat(pieces);
}
