import { type Endpoint, type PropertyType, schema, type ValueType } from "../../hypervisors/proxmox/schema.testing.ts";
import { badParameters } from "./refusal.ts";

export type Parameters = Record<string, unknown>;

/**
 * Holds a request to the schema as the real server does: what is unknown, missing or of a wrong type is a 400. Gives the
 * parameters with numbers and booleans as such.
 */
export function validate(endpoint: Endpoint, version: 8 | 9, given: Parameters, isForm: boolean): Parameters {
  const known: Record<string, ValueType> = {
    ...expanded(endpoint.path ?? {}),
    ...expanded(endpoint.use ? schema.sets[endpoint.use]! : {}),
    ...expanded(endpoint.parameters ?? {}),
  };
  if (version === 8) for (const name of endpoint.parametersNotIn8 ?? []) delete known[name];
  const errors: Record<string, string> = {};
  const checked: Parameters = {};
  for (const [name, value] of Object.entries(given)) {
    const type = known[name];
    if (!type) {
      errors[name] = "property is not defined in schema and the schema does not allow additional properties";
      continue;
    }
    const outcome = check(type, value, isForm);
    if (outcome.problem !== undefined) errors[name] = outcome.problem;
    else checked[name] = outcome.value;
    if (type.requires !== undefined && given[type.requires] === undefined) {
      errors[type.requires] = `missing property - '${name}' requires this property`;
    }
  }
  for (const [name, type] of Object.entries(known)) {
    if (!type.optional && given[name] === undefined) errors[name] = "property is missing and it is not optional";
  }
  if (Object.keys(errors).length > 0) throw badParameters(errors);
  return checked;
}

/** The pairs of a property string, by their own names, or what is wrong with it. */
export function parseProperties(format: string, text: string): { pairs?: Map<string, string>; problem?: string } {
  const types = schema.formats[format]!;
  const defaultKey = Object.keys(types).find((key) => types[key]!.default_key);
  const pairs = new Map<string, string>();
  const put = (key: string, value: string) => {
    if (pairs.has(key)) return `duplicate key in comma-separated list property: ${key}`;
    pairs.set(key, value);
    return undefined;
  };
  for (const part of text.split(",")) {
    const end = part.indexOf("=");
    let key = end < 0 ? defaultKey : part.slice(0, end);
    const value = part.slice(end + 1);
    if (key === undefined || (end < 0 && pairs.has(key))) return { problem: `value without key: ${part}` };
    const { alias, keyAlias } = types[key] ?? ({} as PropertyType);
    let problem: string | undefined;
    if (keyAlias !== undefined) problem = put(keyAlias, key);
    if (alias !== undefined) key = alias;
    if (!types[key]) return { problem: `property is not defined in schema: ${key}` };
    problem ??= put(key, value) ?? check({ type: "string", ...types[key] } as ValueType, value, true).problem;
    if (problem !== undefined) return { problem: `${key}: ${problem}` };
  }
  for (const [key, type] of Object.entries(types)) {
    if (!type.optional && type.alias === undefined && type.default_key && !pairs.has(key)) {
      return { problem: `${key}: property is missing and it is not optional` };
    }
  }
  return { pairs };
}

/** `scsi[n]` as `scsi0` to the last. */
function expanded(types: Readonly<Record<string, ValueType>>): Record<string, ValueType> {
  return Object.fromEntries(
    Object.entries(types).flatMap(([name, type]): [string, ValueType][] => {
      const base = /^(\w+)\[n\]$/.exec(name)?.[1];
      if (base === undefined) return [[name, type]];
      return Array.from({ length: schema.indexed[base]! + 1 }, (_, index) => [`${base}${index}`, type]);
    }),
  );
}

function check(type: ValueType, value: unknown, isForm: boolean): { value?: unknown; problem?: string } {
  const failed = { problem: `type check ('${type.type}') failed - got '${String(value)}'` };
  switch (type.type) {
    case "boolean":
      // Of texts, only these two: neither "true" nor "yes" (AnyEvent.pm hands forms on as they are).
      if (value === "1" || value === "0") return { value: value === "1" };
      if (!isForm && (value === true || value === false || value === 1 || value === 0))
        return { value: Boolean(value) };
      return failed;
    case "integer":
    case "number": {
      const number = typeof value === "number" ? value : Number(value === "" ? Number.NaN : value);
      if (!Number.isFinite(number) || (type.type === "integer" && !Number.isInteger(number))) return failed;
      if (type.minimum !== undefined && number < type.minimum) {
        return { problem: `value must have a minimum value of ${type.minimum}` };
      }
      if (type.maximum !== undefined && number > type.maximum) {
        return { problem: `value must have a maximum value of ${type.maximum}` };
      }
      return { value: number };
    }
    case "array": {
      const list = Array.isArray(value) ? value : isForm ? [value] : undefined;
      return list ? { value: list.map(String) } : failed;
    }
    case "string":
      return typeof value === "string" || typeof value === "number" ? checkText(type, String(value)) : failed;
    default:
      return failed;
  }
}

function checkText(type: ValueType, text: string): { value?: string; problem?: string } {
  if (type.maxLength !== undefined && text.length > type.maxLength) {
    return { problem: `value may only be ${type.maxLength} characters long` };
  }
  if (type.enum && !type.enum.includes(text)) {
    return { problem: `value '${text}' does not have a value in the enumeration '${type.enum.join(", ")}'` };
  }
  if (type.pattern !== undefined && !new RegExp(`^${fromPerl(type.pattern)}$`).test(text)) {
    return { problem: "value does not match the regex pattern" };
  }
  const { format } = type;
  if (typeof format === "string") {
    const isFormat = namedFormats[format];
    if (isFormat && !isFormat.test(text))
      return { problem: `invalid format - value does not look like a valid ${format}` };
  } else if (format) {
    const { problem } = parseProperties(format.$format, text);
    if (problem !== undefined) return { problem: `invalid format - format error\n${problem}` };
  }
  return { value: text };
}

function fromPerl(pattern: string): string {
  return pattern.replaceAll("(?^:", "(?:").replaceAll("{,", "{0,").replaceAll("(?>", "(?:");
}

const namedFormats: Readonly<Record<string, RegExp>> = {
  "pve-node": /^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$/,
  "pve-storage-id": /^[a-z][a-z0-9\-_.]*[a-z0-9]$/i,
  "pve-configid": /^[a-z][a-z0-9_-]+$/i,
  "pve-configid-list": /^[a-z][a-z0-9_-]+([,; ]+[a-z][a-z0-9_-]+)*$/i,
  "dns-name": /^([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$/,
  "pve-volume-id": /^[a-z][a-z0-9\-_.]*[a-z0-9]:\S+$/i,
  "pve-volume-id-or-qm-path": /^([a-z][a-z0-9\-_.]*[a-z0-9]:\S+|none|cdrom)$/i,
  "disk-size": /^\d+(\.\d+)?[KMGT]?$/,
  "mac-addr": /^[a-f0-9][02468ace](:[a-f0-9]{2}){5}$/i,
  urlencoded: /^[A-Za-z0-9%._~!*'()-]*$/,
  "pve-bridge-id": /^[A-Za-z0-9_.-]+$/,
  "pve-qm-boot": /^(order=([a-z]+\d+(;[a-z]+\d+)*)?|(legacy=)?[acdn]{1,4})$/,
};
