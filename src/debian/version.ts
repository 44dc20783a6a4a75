import { failure } from "../base/error.ts";

/** A Debian version in its three parts; `revision` is absent for native packages. */
export interface DebianVersion {
  readonly epoch: number;
  readonly upstream: string;
  readonly revision?: string;
}

export type VersionOperator = "<<" | "<=" | "=" | ">=" | ">>";

export interface VersionConstraint {
  readonly operator: VersionOperator;
  readonly version: string;
}

/**
 * Order of two versions (Debian Policy 5.6.12, deb-version(7)): negative, zero or positive.
 * Trusts its arguments: what comes from outside goes through `parseVersion` first.
 */
export function compareVersions(a: string, b: string): number {
  if (a === b) return 0;
  const aColon = a.indexOf(":");
  const bColon = b.indexOf(":");
  const epochs = compareEpochs(aColon < 0 ? "" : a.slice(0, aColon), bColon < 0 ? "" : b.slice(0, bColon));
  if (epochs !== 0) return epochs;
  const aStart = aColon + 1;
  const bStart = bColon + 1;
  const aDash = a.lastIndexOf("-");
  const bDash = b.lastIndexOf("-");
  const aEnd = aDash < aStart ? a.length : aDash;
  const bEnd = bDash < bStart ? b.length : bDash;
  return comparePart(a, aStart, aEnd, b, bStart, bEnd) || comparePart(a, aEnd + 1, a.length, b, bEnd + 1, b.length);
}

/** Whether `version` stands in the relation to `constraint.version` that the constraint asks for. */
export function satisfiesConstraint(version: string, constraint: VersionConstraint | undefined): boolean {
  if (constraint === undefined) return true;
  const order = compareVersions(version, constraint.version);
  switch (constraint.operator) {
    case "<<":
      return order < 0;
    case "<=":
      return order <= 0;
    case "=":
      return order === 0;
    case ">=":
      return order >= 0;
    case ">>":
      return order > 0;
  }
}

/** The parts of a version. Throws a `MesoError` (`bad-version`) on what dpkg would refuse. */
export function parseVersion(text: string): DebianVersion {
  const bad = (why: string) =>
    failure("bad-version", `"${shorten(text)}" is not a Debian version: ${why}`, {
      expected: "[epoch:]upstream[-revision], the upstream part starting with a digit",
    });
  const colon = text.indexOf(":");
  const epochText = colon < 0 ? "0" : text.slice(0, colon);
  if (!/^[0-9]+$/.test(epochText)) throw bad("the epoch is not a number");
  const epoch = Number(epochText);
  if (epoch > maximumEpoch) throw bad("the epoch is too big");
  const rest = text.slice(colon + 1);
  const dash = rest.lastIndexOf("-");
  const upstream = dash < 0 ? rest : rest.slice(0, dash);
  if (upstream === "") throw bad("the upstream part is empty");
  if (!/^[0-9]/.test(upstream)) throw bad("the upstream part does not start with a digit");
  if (!/^[A-Za-z0-9.+~:-]*$/.test(upstream)) throw bad("the upstream part holds a character that is not allowed");
  if (dash < 0) return { epoch, upstream };
  const revision = rest.slice(dash + 1);
  if (revision === "") throw bad("the revision is empty");
  if (!/^[A-Za-z0-9.+~]*$/.test(revision)) throw bad("the revision holds a character that is not allowed");
  return { epoch, upstream, revision };
}

/** dpkg keeps the epoch in an `int`. */
const maximumEpoch = 0x7fffffff;

function compareEpochs(a: string, b: string): number {
  return a === b ? 0 : Number(a) - Number(b);
}

/**
 * One of upstream part and revision: runs of non-digits (`~` before the end, the end before letters, letters
 * before the rest) alternate with runs of digits, compared as numbers of any length. An absent part equals "0".
 */
function comparePart(a: string, aAt: number, aEnd: number, b: string, bAt: number, bEnd: number): number {
  let i = aAt;
  let j = bAt;
  while (i < aEnd || j < bEnd) {
    for (;;) {
      const x = i < aEnd ? a.charCodeAt(i) : endOfPart;
      const y = j < bEnd ? b.charCodeAt(j) : endOfPart;
      const xIsText = x !== endOfPart && !isDigit(x);
      const yIsText = y !== endOfPart && !isDigit(y);
      if (!xIsText && !yIsText) break;
      const order = weight(x) - weight(y);
      if (order !== 0) return order;
      i++;
      j++;
    }
    while (i < aEnd && a.charCodeAt(i) === zero) i++;
    while (j < bEnd && b.charCodeAt(j) === zero) j++;
    let firstDifference = 0;
    while (i < aEnd && j < bEnd && isDigit(a.charCodeAt(i)) && isDigit(b.charCodeAt(j))) {
      if (firstDifference === 0) firstDifference = a.charCodeAt(i) - b.charCodeAt(j);
      i++;
      j++;
    }
    if (i < aEnd && isDigit(a.charCodeAt(i))) return 1;
    if (j < bEnd && isDigit(b.charCodeAt(j))) return -1;
    if (firstDifference !== 0) return firstDifference;
  }
  return 0;
}

const endOfPart = -1;
const zero = 0x30;
const tilde = 0x7e;

function isDigit(code: number): boolean {
  return code >= zero && code <= 0x39;
}

function weight(code: number): number {
  if (code === tilde) return -1;
  if (code === endOfPart || isDigit(code)) return 0;
  const isLetter = (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a);
  return isLetter ? code : code + 256;
}

function shorten(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}
