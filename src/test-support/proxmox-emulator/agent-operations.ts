import { setTimeout as sleep } from "node:timers/promises";
import { AgentRefusal, AgentSilence } from "./hardware.ts";
import { answers, hasAgent } from "./power-operations.ts";
import { died, Refusal } from "./refusal.ts";
import { type Call, machineOf, type Operation } from "./world.ts";

/** What reaches the agent inside (qemu-server: src/PVE/API2/Qemu/Agent.pm). */
export const agentOperations: Readonly<Record<string, Operation>> = {
  "POST /nodes/{node}/qemu/{vmid}/agent": async (call) => {
    const command = `guest-${call.parameters.command}`;
    if (command !== "guest-shutdown") return { result: await ask(call, command, {}) };
    // No answer on success.
    await asserted(call);
    machineOf(call)
      .running?.agent(command, { mode: "powerdown" }, 1)
      .catch(() => {});
    return { result: {} };
  },
  "POST /nodes/{node}/qemu/{vmid}/agent/ping": async (call) => ({ result: await ask(call, "guest-ping", {}) }),
  "POST /nodes/{node}/qemu/{vmid}/agent/exec": async (call) => {
    const [path, ...arg] = call.parameters.command as string[];
    const input = call.parameters["input-data"] as string | undefined;
    return ask(call, "guest-exec", {
      ...{ path, arg, "capture-output": true },
      ...(input !== undefined && { "input-data": encoded(input) }),
    });
  },
  "GET /nodes/{node}/qemu/{vmid}/agent/exec-status": async (call) => {
    const answer = (await ask(call, "guest-exec-status", { pid: call.parameters.pid })) as Record<string, unknown>;
    return Object.fromEntries(
      Object.entries(answer).map(([key, value]) => {
        if (typeof value === "boolean") return [key, value ? 1 : 0];
        return [key, key.endsWith("-data") ? decoded(String(value)) : value];
      }),
    );
  },
  "GET /nodes/{node}/qemu/{vmid}/agent/file-read": async (call) => {
    const handle = await ask(call, "guest-file-open", { path: call.parameters.file });
    const pieces: string[] = [];
    let left = maxRead;
    let isEnd = false;
    while (left > 0 && !isEnd) {
      const piece = (await ask(call, "guest-file-read", { handle, count: 1 << 20 })) as {
        "buf-b64": string;
        count: number;
        eof: boolean;
      };
      pieces.push(decoded(piece["buf-b64"]));
      left -= piece.count;
      isEnd = piece.eof;
    }
    await ask(call, "guest-file-close", { handle });
    return { content: pieces.join(""), "bytes-read": maxRead - left, ...(!isEnd && { truncated: 1 }) };
  },
  "POST /nodes/{node}/qemu/{vmid}/agent/file-write": async (call) => {
    const { file, content, encode = true } = call.parameters;
    const bytes = encode ? encoded(String(content ?? "")) : content;
    const handle = await ask(call, "guest-file-open", { path: file, mode: "wb" });
    await ask(call, "guest-file-write", { handle, "buf-b64": bytes });
    await ask(call, "guest-file-close", { handle });
    return null;
  },
};

const maxRead = 16 << 20;

async function asserted(call: Call): Promise<void> {
  const machine = machineOf(call);
  if (!hasAgent(machine)) throw died("No QEMU guest agent configured");
  if (!machine.running) throw died(`VM ${machine.vmid} is not running`);
  if (!(await answers(call.world, machine))) throw died("QEMU guest agent is not running");
}

async function ask(call: Call, execute: string, args: Readonly<Record<string, unknown>>): Promise<unknown> {
  await asserted(call);
  const { running } = machineOf(call);
  try {
    return await running!.agent(execute, args, 30);
  } catch (error) {
    if (error instanceof AgentSilence) throw died("QEMU guest agent is not running");
    if (!(error instanceof AgentRefusal)) throw error;
    // The quotes of GLib are no ASCII: 8.4 breaks its own reply over them, and the proxy gives up on it.
    if (call.world.version === 8 && /[^\x20-\x7e]/.test(error.message)) {
      await sleep(call.world.seconds.lostReply * 1000);
      throw new Refusal(596, "");
    }
    throw died(`Agent error: ${error.message}`);
  }
}

/** MIME::Base64 takes characters that are bytes, and dies of others. */
function encoded(characters: string): string {
  if ([...characters].some((one) => one.codePointAt(0)! > 0xff)) throw died("Wide character in subroutine entry");
  return Buffer.from(characters, "latin1").toString("base64");
}

const decoded = (text: string) => Buffer.from(text, "base64").toString("latin1");
