import type { Problem } from "../base/error.ts";
import { nearestHint } from "../base/nearest.ts";
import type { Check, Complaint } from "./complaint.ts";
import { describe, factsOf, fieldLocation } from "./record.ts";

/** Every mistake inside a record and the records it holds, each with the place of the record that has it. */
export function recordProblems(record: unknown, path = ""): Problem[] {
  const about = factsOf(record);
  if (!about) return [];
  const fields = record as Readonly<Record<string, unknown>>;
  const found: Problem[] = [];
  const report = (complaint: Complaint, field: string): void => {
    const full = joined(path, `${field}${complaint.field ?? ""}`);
    const where = fieldLocation(record, field);
    // Written in a template: the record that inherits it is named too.
    const also = where === about.where ? undefined : about.where;
    found.push({ ...complaint, ...(full && { field: full }), ...(where && { where }), ...(also && { also }) });
  };
  for (const name of Object.keys(about.given)) {
    // What cannot be rebuilt from fields (a service, a file) has its own rules for what is given.
    if (!about.rebuild || Object.hasOwn(about.fields, name)) continue;
    const hint = nearestHint(name, Object.keys(about.fields));
    report({ code: "unknown-field", what: `${about.kind} has no field ${describe(name)}`, ...hint }, name);
  }
  let right = found.length === 0;
  for (const [name, check] of Object.entries(about.fields)) {
    for (const complaint of check(fields[name])) {
      right = false;
      report(complaint, name);
    }
    found.push(...nestedProblems(fields[name], joined(path, name)));
  }
  if (right) for (const complaint of about.validate?.(record as never) ?? []) report(complaint, "");
  return found;
}

function nestedProblems(value: unknown, path: string): Problem[] {
  if (factsOf(value)) return recordProblems(value, path);
  if (Array.isArray(value)) return value.flatMap((item, index) => nestedProblems(item, `${path}[${index}]`));
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return [];
  // A table of records: the machines of a centre, by name.
  return Object.entries(value).flatMap(([key, item]) => nestedProblems(item, `${path}[${JSON.stringify(key)}]`));
}

function joined(path: string, field: string): string {
  if (path === "" || field === "" || field.startsWith("[") || field.startsWith(".")) {
    return path === "" ? field.replace(/^\./, "") : `${path}${field}`;
  }
  return `${path}.${field}`;
}

/** A string, of which `accepts` says whether it is right. */
export function aString(
  expected: string,
  accepts: (value: string) => boolean = () => true,
  code = "wrong-value",
  hint?: string,
): Check {
  return (value) => {
    if (typeof value !== "string") return [wrongType(value, expected)];
    return accepts(value) ? [] : [{ code, what: `found ${describe(value)}`, expected, ...(hint && { hint }) }];
  };
}

/** A whole number between two bounds, both included. */
export function aNumber(least: number, most: number): Check {
  const expected = `a whole number from ${least} to ${most}`;
  return (value) => {
    if (typeof value !== "number") return [wrongType(value, expected)];
    if (Number.isInteger(value) && value >= least && value <= most) return [];
    return [{ code: "wrong-value", what: `found ${value}`, expected }];
  };
}

export const aBoolean: Check = (value) => (typeof value === "boolean" ? [] : [wrongType(value, "true or false")]);

/** A list, each item of which passes `item`. */
export function aList(item: Check): Check {
  return (value) => {
    if (!Array.isArray(value)) return [wrongType(value, "a list", "write [ … ]")];
    return value.flatMap((member, index) =>
      (Array.isArray(member) ? nestedList() : item(member)).map((complaint) => ({
        ...complaint,
        field: `[${index}]${complaint.field ?? ""}`,
      })),
    );
  };
}

/** A plain object whose values pass `member`. */
export function aTable(member: Check): Check {
  return (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return [wrongType(value, "an object")];
    return Object.entries(value).flatMap(([key, item]) =>
      member(item).map((complaint) => ({ ...complaint, field: `[${JSON.stringify(key)}]${complaint.field ?? ""}` })),
    );
  };
}

/** A record of one of these kinds. */
export function aRecord(...kinds: readonly string[]): Check {
  const expected = kinds.map((kind) => `${kind}({ … })`).join(" or ");
  return (value) => {
    const kind = factsOf(value)?.kind;
    return kind !== undefined && kinds.includes(kind) ? [] : [wrongType(value, expected)];
  };
}

/** One of a few words. */
export function aWord(words: readonly string[]): Check {
  const expected = `one of ${words.join(", ")}`;
  return (value) => {
    if (typeof value !== "string") return [wrongType(value, expected)];
    if (words.includes(value)) return [];
    return [{ code: "wrong-value", what: `found ${describe(value)}`, expected, ...nearestHint(value, words) }];
  };
}

/** Right when one of the checks passes; complains as the last one does. */
export function either(...checks: readonly Check[]): Check {
  return (value) => {
    let complaints: readonly Complaint[] = [];
    for (const check of checks) {
      complaints = check(value);
      if (complaints.length === 0) return [];
    }
    return complaints;
  };
}

export function orUndefined(check: Check): Check {
  return (value) => (value === undefined ? [] : check(value));
}

function wrongType(value: unknown, expected: string, hint?: string): Complaint {
  if (value === undefined) return { code: "missing-field", what: "is missing", expected };
  return { code: "wrong-type", what: `found ${describe(value)}`, expected, ...(hint && { hint }) };
}

function nestedList(): Complaint[] {
  return [
    { code: "wrong-type", what: "found a list inside the list", hint: "spread it with three dots: [...theList, more]" },
  ];
}
