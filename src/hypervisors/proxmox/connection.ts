import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import type { Duplex } from "node:stream";
import { failure, MesoError } from "../../base/error.ts";
import type { ProxmoxOptions } from "./proxmox-options.ts";
import { type Gate, gate } from "./turns.ts";
import { normalFingerprint, verifiedSocket } from "./verified-socket.ts";

export interface Answer {
  readonly status: number;
  /** The status line's text: Proxmox puts its message there too. */
  readonly reason: string;
  readonly body: string;
}

export type Parameters = Readonly<Record<string, unknown>>;

/** A way to a cluster, over connections that are kept and to whichever of its nodes answers. */
export interface Connection {
  /** Nodes as they are called in messages. */
  readonly title: string;
  /**
   * @throws MesoError `hypervisor-unreachable`, `untrusted-certificate`: nothing was done;
   * `unknown-outcome`: the request was sent and its answer is lost.
   */
  readonly send: (method: string, path: string, parameters: Parameters, deadlineSeconds: number) => Promise<Answer>;
  /** Accepts these certificates too: a verified node introduces its siblings. */
  readonly accept: (fingerprints: readonly string[]) => void;
  readonly close: () => void;
}

/** Bytes; a longer answer is not from an honest server. */
const maxAnswer = 64 << 20;

const connectSeconds = 10;

/** @throws MesoError `invalid-setting` for a token that cannot be one. */
export function openConnection(options: ProxmoxOptions): Connection {
  const authorization = `PVEAPIToken=${wellFormed(options.token)}`;
  const accepted =
    options.fingerprint === undefined ? undefined : new Set<string>([normalFingerprint(options.fingerprint)]);
  const servers = options.urls.map((url) => server(url, options.certificateAuthority, accepted));
  /** The one that answered last stands first. */
  let order = [...servers];
  const send: Connection["send"] = async (method, path, parameters, deadlineSeconds) => {
    const problems: MesoError[] = [];
    const mayRepeat = method === "GET";
    for (const one of [...order, ...(mayRepeat ? order : [])]) {
      try {
        const answer = await one.gate(() =>
          exchange(one, { method, path, parameters, authorization, deadlineSeconds }),
        );
        order = [one, ...order.filter((other) => other !== one)];
        return answer;
      } catch (error) {
        if (!(error instanceof MesoError)) throw error;
        if (error.code === "unknown-outcome" && !mayRepeat) throw error;
        problems.push(error);
      }
    }
    throw noneAnswers(problems, servers.length);
  };
  return {
    title: servers.map(({ title }) => title).join(", "),
    send,
    accept: (fingerprints) => {
      for (const fingerprint of fingerprints) accepted?.add(normalFingerprint(fingerprint));
    },
    close: () => {
      for (const { agent } of servers) agent.destroy();
    },
  };
}

/** Of what each server said, each thing once. An untrusted one outweighs an unreachable one. */
function noneAnswers(problems: readonly MesoError[], servers: number): MesoError {
  const first = problems.slice(0, servers).flatMap((error) => error.problems);
  const untrusted = first.filter(({ code }) => code === "untrusted-certificate");
  const told = untrusted.length > 0 ? untrusted : first;
  return new MesoError(told.map((problem) => ({ ...problem, code: unreachable(problem.code) })));
}

const unreachable = (code: string) => (code === "untrusted-certificate" ? code : "hypervisor-unreachable");

function wellFormed(token: string): string {
  const trimmed = token.trim();
  if (/^[^\s@!=]+@[^\s@!=]+![^\s@!=]+=[0-9a-f-]{36}$/i.test(trimmed)) return trimmed;
  throw failure("invalid-setting", "the token for Proxmox VE is not one (it is not shown here)", {
    expected: "USER@REALM!TOKENID=UUID, in one line",
  });
}

interface Server {
  readonly title: string;
  readonly host: string;
  readonly port: number;
  readonly agent: Agent;
  /** As many requests at once as connections: the agent would open one for each that comes while others are verified. */
  readonly gate: Gate;
}

function server(url: string, certificateAuthority: string | undefined, accepted: Set<string> | undefined): Server {
  const { hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, "");
  const number = port === "" ? 443 : Number(port);
  // A server ends idle connections after a few seconds; one that has ended meanwhile would lose a request.
  const agent = new Agent({
    keepAlive: true,
    maxSockets: requestsAtOnce,
    maxFreeSockets: requestsAtOnce,
    timeout: idleMilliseconds,
  });
  agent.createConnection = ((_: unknown, done: (error: Error | null, socket?: Duplex) => void) => {
    verifiedSocket({ host, port: number, accepted, certificateAuthority, deadlineSeconds: connectSeconds }).then(
      (socket) => done(null, socket),
      (error: Error) => done(error),
    );
  }) as typeof agent.createConnection;
  return { title: `${hostname}:${number}`, host, port: number, agent, gate: gate(requestsAtOnce) };
}

const idleMilliseconds = 3000;
const requestsAtOnce = 16;

interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly parameters: Parameters;
  readonly authorization: string;
  readonly deadlineSeconds: number;
}

function exchange(to: Server, { method, path, parameters, authorization, deadlineSeconds }: Exchange): Promise<Answer> {
  const hasBody = method === "POST" || method === "PUT";
  const body = hasBody ? Buffer.from(JSON.stringify(parameters)) : undefined;
  return new Promise((resolve, reject) => {
    const outgoing = request({
      ...{ host: to.host, port: to.port, agent: to.agent, method },
      path: `/api2/json${path}${hasBody ? "" : query(parameters)}`,
      headers: {
        authorization,
        accept: "application/json",
        ...(body && { "content-type": "application/json", "content-length": body.length }),
      },
    });
    const lost = (reason: string) =>
      failure("unknown-outcome", `${to.title} got ${method} ${path}, and its answer is lost: ${reason}`);
    const timer = setTimeout(() => outgoing.destroy(lost(`none within ${deadlineSeconds} s`)), deadlineSeconds * 1000);
    const end = (settle: () => void) => {
      clearTimeout(timer);
      settle();
    };
    outgoing.once("error", (error) =>
      end(() =>
        reject(error instanceof MesoError ? error : lost((error as NodeJS.ErrnoException).code ?? error.message)),
      ),
    );
    outgoing.once("response", (incoming) =>
      readAll(incoming).then(
        (text) =>
          end(() => resolve({ status: incoming.statusCode ?? 0, reason: incoming.statusMessage ?? "", body: text })),
        (error: NodeJS.ErrnoException) => end(() => reject(lost(error.code ?? error.message))),
      ),
    );
    outgoing.end(body);
  });
}

async function readAll(incoming: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of incoming as AsyncIterable<Buffer>) {
    length += piece.length;
    if (length > maxAnswer) {
      incoming.destroy();
      throw new Error(`longer than ${maxAnswer} bytes`);
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8");
}

/** Proxmox takes 0 and 1 for booleans here, and an array as its key repeated. */
function query(parameters: Parameters): string {
  const pairs = Object.entries(parameters).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one): [string, string] => [name, inQuery(one)]),
  );
  return pairs.length === 0 ? "" : `?${new URLSearchParams(pairs)}`;
}

function inQuery(value: unknown): string {
  return typeof value === "boolean" ? (value ? "1" : "0") : String(value);
}
