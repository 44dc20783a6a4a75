import { assert, failure } from "../base/error.ts";
import type { SourceLocation } from "../base/location.ts";
import { callerLocation } from "../base/location.ts";
import type { Check, Complaint } from "./complaint.ts";

declare const inputOf: unique symbol;

/** Remembers, for the type checker only, what may be written to make (or `inherit`) a record. */
export interface Recorded<Input> {
  readonly [inputOf]?: Input;
}

/** What may be written to make the record `R`, and changed by `inherit`. */
export type InputOf<R> = R extends { readonly [inputOf]?: infer Input } ? Input : never;

/** All of `Fields`, of which only `Required` have no default. */
export type InputFor<Fields, Required extends keyof Fields> = Readonly<
  Pick<Fields, Required> & Partial<Omit<Fields, Required>>
>;

/** A frozen record with every field filled in. */
export type RecordOf<Fields, Required extends keyof Fields> = Readonly<Fields> & Recorded<InputFor<Fields, Required>>;

export interface RecordDefinition<Fields, Required extends keyof Fields> {
  /** The constructor's name, as problems show it: `fileSystem`. */
  readonly kind: string;
  /** Values of the fields that were not written; may depend on those that were. */
  readonly defaults: (given: InputFor<Fields, Required>) => Omit<Fields, Required>;
  /** What each field accepts; they run when a system is lowered, so that all mistakes are told at once. */
  readonly fields: { readonly [K in keyof Fields]: Check };
  /** Rules between fields; only asked of a record whose fields are each right. */
  readonly validate?: (record: RecordOf<Fields, Required>) => readonly Complaint[];
  /** Further properties, which spreading and hashing do not see. */
  readonly hidden?: PropertyDescriptorMap;
}

/** What a record knows of itself beside its fields. */
export interface RecordFacts {
  readonly kind: string;
  readonly where?: SourceLocation;
  /** Where the record that this one inherits from was written. */
  readonly inheritedFrom?: SourceLocation;
  /** What the person wrote, before defaults. */
  readonly given: object;
  /** Where fields were written that come from a record further up. */
  readonly places?: Readonly<Record<string, SourceLocation>>;
  readonly fields: Readonly<Record<string, Check>>;
  readonly validate?: (record: never) => readonly Complaint[];
  readonly rebuild?: Rebuild;
}

type Rebuild = (
  given: object,
  where?: SourceLocation,
  inheritedFrom?: SourceLocation,
  places?: Readonly<Record<string, SourceLocation>>,
) => object;

/**
 * Makes the constructor of a kind of record. Constructors fill in defaults, freeze deeply and remember where they
 * were called; they accept mistakes silently, for `lowerSystem` to report together.
 */
export function recordType<Fields extends object, Required extends keyof Fields>(
  definition: RecordDefinition<Fields, Required>,
): (given: InputFor<Fields, Required>) => RecordOf<Fields, Required> {
  type Input = InputFor<Fields, Required>;
  const rebuild: Rebuild = (given, where, inheritedFrom, places) => {
    const written = frozenCopy(withoutUndefined(given));
    const record = frozenFields({ ...definition.defaults(written as Input), ...written });
    if (definition.hidden) Object.defineProperties(record, definition.hidden);
    return attachFacts(record, {
      kind: definition.kind,
      given: written,
      fields: definition.fields as Readonly<Record<string, Check>>,
      rebuild,
      ...(definition.validate && { validate: definition.validate }),
      ...(where && { where }),
      ...(inheritedFrom && { inheritedFrom }),
      ...(places && { places }),
    });
  };
  function construct(given: Input): RecordOf<Fields, Required> {
    const where = callerLocation(construct);
    if (typeof given !== "object" || given === null || Array.isArray(given)) {
      throw failure("not-a-record", `${definition.kind}() was given ${describe(given)}`, {
        ...(where && { where }),
        expected: `an object: ${definition.kind}({ … })`,
      });
    }
    return rebuild(given, where) as RecordOf<Fields, Required>;
  }
  return construct;
}

// Non-enumerable, so that neither spreading nor hashing a record sees where it was written.
const facts = Symbol("mesoforge.record");

/** Ties facts to an object and freezes it. */
export function attachFacts<T extends object>(record: T, about: RecordFacts): T {
  Object.defineProperty(record, facts, { value: about });
  return Object.freeze(record);
}

/** What a value knows of itself when it is a record; undefined for anything else. */
export function factsOf(value: unknown): RecordFacts | undefined {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return undefined;
  return (value as { [facts]?: RecordFacts })[facts];
}

/** Where a record was written, when it is one. */
export function locationOf(value: unknown): SourceLocation | undefined {
  return factsOf(value)?.where;
}

/** Where a field of a record was written: the record itself, or the one it was inherited from. */
export function fieldLocation(record: unknown, field: string): SourceLocation | undefined {
  const about = factsOf(record);
  return about?.places?.[field] ?? about?.where;
}

/** A copy of plain data that nothing can change; records and functions are kept as they are. */
export function frozenCopy<T>(value: T): T {
  if (typeof value !== "object" || value === null || factsOf(value)) return value;
  if (Array.isArray(value)) return Object.freeze(value.map(frozenCopy)) as T;
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  return Object.freeze(frozenFields({ ...value }));
}

function frozenFields<T extends object>(fields: T): T {
  for (const key of Object.keys(fields) as (keyof T)[]) fields[key] = frozenCopy(fields[key]);
  return fields;
}

function withoutUndefined(given: object): object {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** A value as an error shows it: short, on one line. */
export function describe(value: unknown): string {
  const kind = factsOf(value)?.kind;
  if (kind) return `a ${kind}`;
  if (typeof value === "function") return "a function";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "bigint" || typeof value === "symbol") return `a ${typeof value}`;
  if (value === null || typeof value !== "object") return shortened(JSON.stringify(value) ?? "nothing");
  return "an object";
}

function shortened(shown: string): string {
  const limit = 80;
  return shown.length > limit ? `${shown.slice(0, limit)}…` : shown;
}

/** The record with some fields changed at `where`; the others remember where they were written. */
export function changed<R extends object>(record: R, changes: object, where: SourceLocation | undefined): R {
  const about = factsOf(record);
  assert(about?.rebuild, "only a record can be changed");
  const kept = Object.keys(about.given).filter((field) => !Object.hasOwn(changes, field));
  const places = Object.fromEntries(kept.map((field) => [field, fieldLocation(record, field)]));
  return about.rebuild({ ...about.given, ...changes }, where, about.where, places as never) as R;
}

/** The same record as if it had been written at `where`: for functions that wrap a constructor. */
export function relocated<R extends object>(record: R, where: SourceLocation | undefined): R {
  const about = factsOf(record);
  assert(about?.rebuild, "only a record can be relocated");
  return about.rebuild(about.given, where) as R;
}
