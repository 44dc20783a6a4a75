import type { Channel } from "../language/channel.ts";
import { trixie } from "../language/channel.ts";
import { aBoolean, aList, aRecord, aString, aTable, aWord, either, orUndefined } from "../language/check.ts";
import type { Check } from "../language/complaint.ts";
import { aPackage, type PackageReference } from "../language/package-reference.ts";
import { describe, factsOf, type RecordOf, recordType } from "../language/record.ts";
import type { BuildSystem } from "./build-system.ts";
import type { Origin } from "./origin.ts";
import type { Patch } from "./patch.ts";
import type { PhaseChange } from "./phase.ts";

/** What a package is built with: a Debian package of its channel, by name, or another source package. */
export type PackageInput = string | PackageReference | SourcePackage;

interface SourcePackageFields {
  name: string;
  version: string;
  /** A function of the version, so that a newer one needs nothing but its number and hash; undefined for none. */
  source: Origin | ((about: { readonly name: string; readonly version: string }) => Origin) | undefined;
  /** SHA-256 of what the source gives, where the origin does not say it itself. */
  sha256: string | undefined;
  buildSystem: BuildSystem;
  /** What its programs and libraries need when they run: found by compilers and linkers. */
  inputs: readonly PackageInput[];
  /** What only its build runs. */
  nativeInputs: readonly PackageInput[];
  /** `out` first; `dev` takes headers and pkg-config files, `doc` documentation, `debug` symbols. */
  outputs: readonly string[];
  /** Applied in order with `patch -p1`, after those that the source brings. */
  patches: readonly Patch[];
  /** Shell text run in the unpacked and patched source. */
  snippets: readonly string[];
  /** Changes of the build system's phases, by name. */
  phases: readonly PhaseChange[];
  configureFlags: readonly string[];
  makeFlags: readonly string[];
  /** For the C and C++ compilers. */
  compilerFlags: readonly string[];
  environment: Readonly<Record<string, string>>;
  /** Whether the package's own tests are run; a build whose tests fail fails. */
  tests: boolean;
  /** Debian's part: where compilers, tools and Debian inputs come from. */
  channel: Channel;
  /** Anything for people and tools; part of no hash. */
  properties: Readonly<Record<string, string | number | boolean>>;
  synopsis: string;
  /** SPDX: `GPL-3.0-or-later`. */
  licence: string;
  homePage: string;
  /** Names of Debian's packages whose place it takes in a system. */
  replaces: readonly string[];
}

export type SourcePackage = RecordOf<SourcePackageFields, "name" | "version" | "source" | "buildSystem">;

/** A package built from source. Only name, version, source and build system have no default. */
export const sourcePackage = recordType<SourcePackageFields, "name" | "version" | "source" | "buildSystem">({
  kind: "sourcePackage",
  defaults: () => ({
    sha256: undefined,
    inputs: [],
    nativeInputs: [],
    outputs: ["out"],
    patches: [],
    snippets: [],
    phases: [],
    configureFlags: [],
    makeFlags: [],
    compilerFlags: [],
    environment: {},
    tests: true,
    channel: trixie,
    properties: {},
    synopsis: "",
    licence: "",
    homePage: "",
    replaces: [],
  }),
  fields: {
    name: aString("a name: small letters, digits, + - . _", (name) => /^[a-z0-9][a-z0-9+._-]*$/.test(name)),
    version: aString("a version that starts with a digit or letter", (text) =>
      /^[0-9A-Za-z][0-9A-Za-z+._~-]*$/.test(text),
    ),
    source: (value) =>
      value === undefined || typeof value === "function" || factsOf(value)?.kind === "origin"
        ? []
        : [
            {
              code: "wrong-type",
              what: `found ${describe(value)}`,
              expected: "fetchUrl(…), gitCommit(…), localPath(…), debianSource(…), or a function that gives one",
            },
          ],
    sha256: orUndefined(aString("a SHA-256")),
    buildSystem: aRecord("buildSystem"),
    inputs: aList(anInput()),
    nativeInputs: aList(anInput()),
    outputs: aList(aWord(["out", "dev", "doc", "debug"])),
    patches: aList(aRecord("patch")),
    snippets: aList(aString("shell text")),
    phases: aList(aRecord("phase")),
    configureFlags: aList(aString("a flag")),
    makeFlags: aList(aString("a flag")),
    compilerFlags: aList(aString("a flag")),
    environment: aTable(aString("text")),
    tests: aBoolean,
    channel: aRecord("channel"),
    properties: aTable((value) =>
      ["string", "number", "boolean"].includes(typeof value)
        ? []
        : [{ code: "wrong-type", what: `found ${describe(value)}`, expected: "a string, number, true or false" }],
    ),
    synopsis: aString("a line", (text) => !text.includes("\n")),
    licence: aString("a licence"),
    homePage: aString("an address"),
    replaces: aList(aPackage),
  },
  validate: ({ outputs }) =>
    outputs[0] === "out" && new Set(outputs).size === outputs.length
      ? []
      : [
          {
            code: "wrong-value",
            what: `found the outputs ${outputs.join(", ")}`,
            field: "outputs",
            expected: "out first, each once",
          },
        ],
});

export function isSourcePackage(value: unknown): value is SourcePackage {
  return factsOf(value)?.kind === "sourcePackage";
}

/** Every source package that `wanted` are built with, and themselves, each once, inputs before what needs them. */
export function packageGraph(wanted: readonly SourcePackage[]): readonly SourcePackage[] {
  const found = new Set<SourcePackage>();
  const visit = (one: SourcePackage): void => {
    if (found.has(one)) return;
    for (const input of [...one.inputs, ...one.nativeInputs]) if (isSourcePackage(input)) visit(input);
    found.add(one);
  };
  wanted.forEach(visit);
  return [...found];
}

function anInput(): Check {
  return either(aRecord("sourcePackage"), aPackage);
}
