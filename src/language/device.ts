import type { Check, Complaint } from "./complaint.ts";
import { describe, frozenCopy } from "./record.ts";

declare const nominal: unique symbol;

/** The label of a file system, whatever disk it lies on. */
export interface Label {
  readonly kind: "label";
  readonly label: string;
  readonly [nominal]?: "label";
}

/** The UUID of a file system. */
export interface Uuid {
  readonly kind: "uuid";
  readonly uuid: string;
  readonly [nominal]?: "uuid";
}

/** A device file, or what a network file system is mounted from: `server:/export`. */
export interface DevicePath {
  readonly kind: "path";
  readonly path: string;
  readonly [nominal]?: "path";
}

/** How a file system is found; `"none"` for those that have no device, such as tmpfs. */
export type Device = Label | Uuid | DevicePath | "none";

export function label(name: string): Label {
  return frozenCopy({ kind: "label", label: name });
}

/** In the usual form, or the eight digits of a FAT: `uuid("1c7e…-…")`, `uuid("AB12-34CD")`. */
export function uuid(value: string): Uuid {
  return frozenCopy({ kind: "uuid", uuid: value });
}

export function devicePath(path: string): DevicePath {
  return frozenCopy({ kind: "path", path });
}

const uuidPattern = /^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9A-F]{4}-[0-9A-F]{4})$/i;

export const aDevice: Check = (value) => {
  if (value === "none") return [];
  if (value === undefined) return [{ code: "missing-field", what: "is missing", expected: deviceExpected }];
  const device = value as { kind?: string; label?: unknown; uuid?: unknown; path?: unknown };
  if (typeof value !== "object" || value === null || !["label", "uuid", "path"].includes(device.kind ?? "")) {
    const hint = typeof value === "string" ? { hint: proposal(value) } : {};
    return [{ code: "wrong-type", what: `found ${describe(value)}`, expected: deviceExpected, ...hint }];
  }
  if (typeof device.label === "string") return labelComplaints(device.label);
  if (typeof device.uuid === "string") {
    return uuidPattern.test(device.uuid)
      ? []
      : [{ code: "wrong-value", what: `found ${describe(device.uuid)}`, expected: "a UUID" }];
  }
  if (typeof device.path === "string" && /^[^\s]*[/:][^\s]*$/.test(device.path)) return [];
  const code = typeof device.path === "string" ? "wrong-value" : "wrong-type";
  return [{ code, what: `found ${describe(device.path)}`, expected: "a device file or server:/export" }];
};

const deviceExpected = 'label("…"), uuid("…"), devicePath("/dev/…") or "none"';

function proposal(value: string): string {
  if (value.startsWith("/")) return `write devicePath(${JSON.stringify(value)})`;
  return uuidPattern.test(value) ? `write uuid(${JSON.stringify(value)})` : `write label(${JSON.stringify(value)})`;
}

function labelComplaints(name: string): Complaint[] {
  // Spaces and quotes would need three different escapings: fstab, kernel command line, udev.
  if (/^[A-Za-z0-9_.+-]+$/.test(name)) return [];
  return [
    {
      code: "wrong-label",
      what: `found the label ${describe(name)}`,
      expected: "letters, digits, _ . + - and at least one of them",
    },
  ];
}
