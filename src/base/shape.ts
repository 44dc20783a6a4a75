/**
 * What JSON from outside has to look like, and where it does not. Members that a shape does not name are refused: in
 * what a newer program wrote they mean something.
 */
export type Shape = Check | ListShape | TableShape | KindsShape | MembersShape;

export interface Check {
  readonly expected: string;
  readonly holds: (value: unknown) => boolean;
}

interface ListShape {
  readonly list: Shape;
}

/** An object with names of its own, all of whose members look alike. */
interface TableShape {
  readonly table: Shape;
}

/** Objects told apart by their member `kind`. */
interface KindsShape {
  readonly kinds: Readonly<Record<string, Shape>>;
}

interface MembersShape {
  readonly members: Readonly<Record<string, Shape>>;
  /** May be left out, but not be null. */
  readonly optional?: Readonly<Record<string, Shape>>;
}

/** The first place where a value is not of the shape. */
export interface Mismatch {
  /** `suites[0].indices[0].size`; empty for the whole value. */
  readonly field: string;
  /** To follow the name of what was read: `is not a list`, `has "x"`. */
  readonly what: string;
  readonly expected: string;
}

export const aText: Check = { expected: "a text", holds: (value) => typeof value === "string" };
export const aTruth: Check = { expected: "true or false", holds: (value) => typeof value === "boolean" };
export const aDigest: Check = matching("64 hexadecimal digits", /^[0-9a-f]{64}$/);
export const aCount: Check = {
  expected: "a whole number from 0",
  holds: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
};

export function matching(expected: string, pattern: RegExp): Check {
  return { expected, holds: (value) => typeof value === "string" && pattern.test(value) };
}

export function oneOf(...values: readonly (string | number)[]): Check {
  return {
    expected: values.map((value) => JSON.stringify(value)).join(" or "),
    holds: (value) => values.includes(value as string),
  };
}

/** Undefined when the value is of the shape. */
export function mismatch(value: unknown, shape: Shape, field = ""): Mismatch | undefined {
  if ("holds" in shape) return shape.holds(value) ? undefined : { field, what: found(value), expected: shape.expected };
  if ("list" in shape) {
    if (!Array.isArray(value)) return { field, what: "is not a list", expected: "a list" };
    return first(value.entries(), ([i, item]) => mismatch(item, shape.list, `${field}[${i}]`));
  }
  if ("table" in shape) {
    if (!isRecord(value)) return { field, what: "is not an object", expected: "an object" };
    return first(Object.entries(value), ([key, member]) =>
      mismatch(member, shape.table, `${field}[${JSON.stringify(key.slice(0, 80))}]`),
    );
  }
  if ("kinds" in shape) {
    const kind = isRecord(value) ? value.kind : undefined;
    if (typeof kind === "string" && Object.hasOwn(shape.kinds, kind)) return mismatch(value, shape.kinds[kind]!, field);
    const expected = `an object whose kind is ${Object.keys(shape.kinds).join(", ")}`;
    return { field, what: isRecord(value) ? "is of an unknown kind" : "is not an object", expected };
  }
  return memberMismatch(value, shape, field);
}

/** A record, and no list. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function memberMismatch(value: unknown, { members, optional = {} }: MembersShape, field: string): Mismatch | undefined {
  const names = [...Object.keys(members), ...Object.keys(optional)].join(", ");
  if (!isRecord(value)) return { field, what: "is not an object", expected: `an object with ${names}` };
  const unknown = Object.keys(value).find((key) => !Object.hasOwn(members, key) && !Object.hasOwn(optional, key));
  if (unknown !== undefined) {
    return { field, what: `has an unknown member ${JSON.stringify(unknown.slice(0, 80))}`, expected: names };
  }
  const inside = (key: string) => (field === "" ? key : `${field}.${key}`);
  return (
    first(Object.entries(members), ([key, shape]) => mismatch(value[key], shape, inside(key))) ??
    first(Object.entries(optional), ([key, shape]) =>
      Object.hasOwn(value, key) ? mismatch(value[key], shape, inside(key)) : undefined,
    )
  );
}

function first<T>(items: Iterable<T>, find: (item: T) => Mismatch | undefined): Mismatch | undefined {
  for (const item of items) {
    const one = find(item);
    if (one) return one;
  }
  return undefined;
}

function found(value: unknown): string {
  return `has ${value === undefined ? "nothing" : JSON.stringify(value)?.slice(0, 80)}`;
}
