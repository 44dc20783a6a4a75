import { failure } from "../../base/error.ts";

/** What a UPID says of its task. */
export interface TaskId {
  readonly upid: string;
  readonly node: string;
  readonly type: string;
  readonly id: string;
  readonly user: string;
}

/** `UPID:node:pid:pstart:starttime:type:id:user:`, hexadecimal numbers (pve-common: src/PVE/UPID.pm). */
const form = /^UPID:([A-Za-z0-9-]+):[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:([^:\s/]+):([^:\s]*):([^:\s]+):$/;

/** @throws MesoError `unknown-outcome`: something was begun, and there is no telling what. */
export function parseTaskId(value: unknown): TaskId {
  const found = typeof value === "string" && value.length < 512 ? form.exec(value) : null;
  if (!found) {
    throw failure("unknown-outcome", `Proxmox named its task ${JSON.stringify(value)?.slice(0, 200)}`, {
      expected: "UPID:node:pid:start:time:type:id:user:",
    });
  }
  const [upid, node, type, id, user] = found as unknown as [string, string, string, string, string];
  return { upid, node, type, id, user };
}
