import { failure, MesoError } from "../../base/error.ts";
import { untilExited, usualAgentSeconds } from "../agent-verbs.ts";
import type { GuestAgent, GuestCommandResult } from "../guest-agent.ts";
import { isCode } from "./api.ts";
import type { Cluster } from "./cluster.ts";

/** The agent inside a machine, through Proxmox. */
export function apiAgent(cluster: Cluster, vmid: number): GuestAgent {
  const { api } = cluster;
  const onNode = async <T>(body: (path: { node: string; vmid: number }) => Promise<T>): Promise<T> => {
    const answer = await cluster.onNode(vmid, async (node) => ({ value: await body({ node, vmid }) }));
    if (answer) return answer.value;
    throw failure("no-machine", `Proxmox has no machine ${vmid}`);
  };
  const ping: GuestAgent["ping"] = async (deadline) => {
    let last: MesoError | undefined;
    const answered = await api.until(async () => {
      try {
        await onNode((path) => api.call("POST /nodes/{node}/qemu/{vmid}/agent/ping", path));
        return true;
      } catch (error) {
        if (!isCode(error, "agent-silent", "unknown-outcome", "hypervisor-unreachable", "agent-refused")) throw error;
        if (/No QEMU guest agent configured/.test(error.message)) throw error;
        last = error;
        return undefined;
      }
    }, deadline);
    if (answered) return;
    const what = `the guest agent of machine ${vmid} did not answer within ${deadline} s`;
    throw failure("agent-silent", what, { hint: last?.problems[0]?.hint ?? "look at the machine's console" }, last);
  };
  const exec: GuestAgent["exec"] = async (argv, { input, deadline = usualAgentSeconds } = {}) => {
    const end = performance.now() + deadline * 1000;
    const begun = {
      command: argv,
      ...(input !== undefined && { "input-data": asCharacters(input) }),
    };
    const { pid } = await onNode((path) =>
      told(argv, ping, () => api.call("POST /nodes/{node}/qemu/{vmid}/agent/exec", path, begun)),
    );
    const ask = () => onNode((path) => api.call("GET /nodes/{node}/qemu/{vmid}/agent/exec-status", path, { pid }));
    const status: ExecStatus = await untilExited(ask, argv, end).catch((error: unknown) => {
      // Handed out once: an answer that was lost cannot be asked for again.
      if (!(error instanceof MesoError) || !/Invalid parameter 'pid'/.test(error.message)) throw error;
      throw failure("unknown-outcome", `how ${argv[0]} ended in machine ${vmid} is lost`, {}, error);
    });
    if (isTrue(status["out-truncated"]) || isTrue(status["err-truncated"])) {
      throw failure("agent-refused", `${argv[0]} says more than the guest agent keeps`, {
        hint: "write it into a file",
      });
    }
    return result(status);
  };
  const writeFile: GuestAgent["writeFile"] = async (path, bytes) => {
    const write = (file: string, piece: Uint8Array) =>
      onNode((where) =>
        api.call("POST /nodes/{node}/qemu/{vmid}/agent/file-write", where, {
          file,
          content: Buffer.from(piece).toString("base64"),
          encode: false,
        }),
      );
    if (bytes.length <= pieceBytes) {
      await write(path, bytes);
      return;
    }
    // A write replaces the file: larger ones are put together inside, and show only when they are whole.
    const [piece, whole] = [`${path}.meso-piece`, `${path}.meso-part`];
    const run = async (script: string) => {
      const { exitCode, stderr } = await exec(["/bin/sh", "-c", `set -e; ${script}`, "sh", path, piece, whole]);
      if (exitCode !== 0) throw failure("agent-refused", `${path} could not be written: ${stderr.trim()}`);
    };
    await write(whole, Buffer.alloc(0));
    await run('chmod 600 "$3"');
    for (let done = 0; done < bytes.length; done += pieceBytes) {
      await write(piece, bytes.subarray(done, done + pieceBytes));
      await run('cat "$2" >>"$3"; rm "$2"');
    }
    await run('cat "$3" >"$1"; rm "$3"');
  };
  const readFile: GuestAgent["readFile"] = async (file) => {
    const answer = await onNode((path) => api.call("GET /nodes/{node}/qemu/{vmid}/agent/file-read", path, { file }));
    if (isTrue(answer.truncated)) {
      throw failure("agent-refused", `${file} is larger than the 16 MiB that Proxmox reads through the agent`);
    }
    return bytesOf(answer.content);
  };
  return {
    ...{ ping, exec, readFile, writeFile },
    shutdown: async () => {
      await onNode((path) => api.call("POST /nodes/{node}/qemu/{vmid}/agent", path, { command: "shutdown" }));
    },
  };
}

/** 60 KiB of base64 (the schema's `maxLength`). */
const pieceBytes = (61_440 / 4) * 3;

/** Characters of input that Proxmox takes. */
const maxInput = 65_536;

/** Each byte travels as the character of its number (MIME::Base64 takes no other), in both directions. */
function asCharacters(input: string | Uint8Array): string {
  const bytes = Buffer.from(input);
  if (bytes.length <= maxInput) return bytes.toString("latin1");
  throw failure("invalid-setting", `${bytes.length} bytes are too many for a command's input through Proxmox`, {
    expected: `${maxInput} at most`,
    hint: "write a file and read it in the command",
  });
}

/** Text beyond Latin-1 was not made of bytes; it stands for itself. */
function bytesOf(characters: string): Buffer {
  for (let i = 0; i < characters.length; i++) {
    if (characters.charCodeAt(i) > 0xff) return Buffer.from(characters, "utf8");
  }
  return Buffer.from(characters, "latin1");
}

function isTrue(bit: unknown): boolean {
  return bit === true || bit === 1 || bit === "1";
}

interface ExecStatus {
  readonly exitcode?: number;
  readonly signal?: number;
  readonly "out-data"?: string;
  readonly "err-data"?: string;
  readonly "out-truncated"?: unknown;
  readonly "err-truncated"?: unknown;
}

/** An end by a signal gets the number that a shell would give it. */
function result(status: ExecStatus): GuestCommandResult {
  const text = (data: string | undefined) => bytesOf(data ?? "").toString("utf8");
  const exitCode = status.exitcode ?? 128 + (status.signal ?? 0);
  return { exitCode, stdout: text(status["out-data"]), stderr: text(status["err-data"]) };
}

/**
 * Of a program that is not there, Proxmox 8.4 loses the agent's answer over the quotes in it: a 596 that is no fault of
 * the network when the agent goes on answering.
 */
async function told<T>(argv: readonly string[], ping: GuestAgent["ping"], body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    if (!isCode(error, "unknown-outcome") || !/HTTP 596/.test(error.message)) throw error;
    await ping(5).catch(() => {
      throw error;
    });
    throw failure("agent-refused", `the guest agent did not run ${argv[0]}, or its answer was lost (HTTP 596)`, {
      hint: "does the program exist there? Give its whole path",
    });
  }
}
