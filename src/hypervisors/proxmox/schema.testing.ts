import { readFileSync } from "node:fs";

/** For tests and for writing `operations.ts`: the schema beside this file, see its `$comment`. */
export const schema = JSON.parse(readFileSync(new URL("schema.json", import.meta.url), "utf8")) as Schema;

export interface Schema {
  readonly indexed: Readonly<Record<string, number>>;
  readonly formats: Readonly<Record<string, Readonly<Record<string, PropertyType>>>>;
  readonly sets: Readonly<Record<string, Readonly<Record<string, ValueType>>>>;
  readonly endpoints: Readonly<Record<string, Endpoint>>;
}

export interface Endpoint {
  readonly permissions: { readonly user?: string; readonly check?: PermissionCheck };
  readonly permissionsIn8?: { readonly check: PermissionCheck };
  readonly path?: Readonly<Record<string, ValueType>>;
  readonly use?: string;
  readonly parameters?: Readonly<Record<string, ValueType>>;
  readonly parametersNotIn8?: readonly string[];
  readonly returns: ValueType;
}

/** `["perm", "/vms/{vmid}", ["VM.Audit"], "any", 1]` */
export type PermissionCheck = readonly [string, string, readonly string[], ...(string | number)[]];

export interface ValueType {
  readonly type: "string" | "integer" | "number" | "boolean" | "array" | "object" | "null";
  readonly optional?: boolean;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly format?: string | { readonly $format: string };
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly requires?: string;
  readonly items?: ValueType;
  readonly use?: string;
  readonly properties?: Readonly<Record<string, ValueType>>;
}

export interface PropertyType extends Partial<ValueType> {
  readonly default_key?: boolean;
  readonly alias?: string;
  readonly keyAlias?: string;
}

/** The text of `operations.ts`. */
export function operationTypes(): string {
  const operations = Object.entries(schema.endpoints).map(([name, endpoint]) => {
    const parameters = object(endpoint.parameters ?? {}, 2, "parameter");
    return [
      `  ${JSON.stringify(name)}: {`,
      `    path: ${object(endpoint.path ?? {}, 2, "parameter")};`,
      `    parameters: ${endpoint.use ? `MachineConfig & ${parameters}` : parameters};`,
      `    result: ${type(endpoint.returns, 2, "result")};`,
      "  };",
    ].join("\n");
  });
  return `${[
    "/**",
    " * What Proxmox VE's API takes and gives, for the operations used here. Written from schema.json by",
    " * `MESO_UPDATE_DOCS=1 npm test -- src/hypervisors/proxmox/operations.test.ts`; do not edit.",
    " */",
    "export interface Operations {",
    ...operations,
    "}",
    "",
    "/** Booleans travel as 0 and 1. */",
    "export type Bit = 0 | 1 | boolean;",
    "",
    "/** Keys of a virtual machine. */",
    `export interface MachineConfig ${object(schema.sets.vmConfig!, 0, "parameter")}`,
  ].join("\n")}\n`;
}

type Direction = "parameter" | "result";

function object(fields: Readonly<Record<string, ValueType>>, depth: number, direction: Direction): string {
  const names = Object.keys(fields);
  if (names.length === 0) return "Record<never, never>";
  const indent = "  ".repeat(depth + 1);
  const lines = names.map((name) => {
    const field = fields[name]!;
    const value = type(field, depth + 1, direction);
    const indexed = /^(\w+)\[n\]$/.exec(name);
    if (indexed) return `${indent}[key: \`${indexed[1]}\${number}\`]: ${value} | undefined;`;
    const key = /^[A-Za-z_]\w*$/.test(name) ? name : JSON.stringify(name);
    return `${indent}${key}${field.optional ? "?" : ""}: ${value};`;
  });
  return `{\n${lines.join("\n")}\n${"  ".repeat(depth)}}`;
}

function type(value: ValueType, depth: number, direction: Direction): string {
  switch (value.type) {
    case "string": {
      const words = value.enum?.map((word) => JSON.stringify(word)).join(" | ");
      return words !== undefined && words.length < 70 ? words : "string";
    }
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return direction === "parameter" ? "boolean" : "Bit";
    case "null":
      return "null";
    case "array":
      return `readonly ${bracketed(type(value.items!, depth, direction))}[]`;
    case "object": {
      const fields = value.properties
        ? object(value.properties, depth, direction)
        : "Readonly<Record<string, unknown>>";
      return value.use ? `MachineConfig & ${fields}` : fields;
    }
  }
}

function bracketed(text: string): string {
  return text.includes(" | ") && !text.startsWith("{") ? `(${text})` : text;
}
