import { inherit } from "../language/inherit.ts";
import { packageName } from "../language/package-reference.ts";
import type { Patch } from "./patch.ts";
import { isSourcePackage, type PackageInput, type SourcePackage } from "./source-package.ts";

/** A package in, a package out, for `pipe`: all of what it is built with may be changed on the way. */
export type PackageTransformation = (pkg: SourcePackage) => SourcePackage;

/**
 * Changes every source package of a graph, inputs before what needs them. Packages that are not changed, and need
 * nothing that is, stay the very same: so exactly the dependents of a change are built anew.
 */
export function mapPackages(change: PackageTransformation): PackageTransformation {
  return mapInputs((input) => input, change);
}

/**
 * Another package in the place of one, wherever the graph is built with it: a source package or a Debian package by its
 * name, or one very package.
 */
export function withInput(old: string | SourcePackage, replacement: PackageInput): PackageTransformation {
  const isOld = (input: PackageInput): boolean => {
    if (isSourcePackage(input)) return typeof old === "string" ? input.name === old : input === old;
    return packageName(input) === old;
  };
  return mapInputs(
    (input) => (isOld(input) ? replacement : input),
    (pkg) => pkg,
  );
}

/** Another version of the package of this name; a source with a hash of its own needs the new one. */
export function withVersion(name: string, version: string, sha256?: string): PackageTransformation {
  return only(name, (pkg) => inherit(pkg, { version, ...(sha256 !== undefined && { sha256 }) }));
}

export function withPatch(name: string, ...patches: readonly Patch[]): PackageTransformation {
  return only(name, (pkg) => inherit(pkg, { patches: [...pkg.patches, ...patches] }));
}

/** More flags for the configuration of the package of this name: of `configure`, cmake or meson. */
export function withFlags(name: string, ...flags: readonly string[]): PackageTransformation {
  return only(name, (pkg) => inherit(pkg, { configureFlags: [...pkg.configureFlags, ...flags] }));
}

/** Symbols for debuggers in an output of their own. */
export function withDebug(name: string): PackageTransformation {
  return only(name, (pkg) =>
    pkg.outputs.includes("debug") ? pkg : inherit(pkg, { outputs: [...pkg.outputs, "debug"] }),
  );
}

/** Levels of the x86-64 psABI, or any processor that the compiler knows. */
export type Microarchitecture = "x86-64" | "x86-64-v2" | "x86-64-v3" | "x86-64-v4" | (string & {});

/**
 * The graph compiled for newer processors: of all packages, or of those with these names. Their tests run on the machine
 * that builds, which must be such a one.
 */
export function forMicroarchitecture(level: Microarchitecture, names?: readonly string[]): PackageTransformation {
  return mapPackages((pkg) =>
    names && !names.includes(pkg.name)
      ? pkg
      : inherit(pkg, { compilerFlags: [...pkg.compilerFlags, `-march=${level}`] }),
  );
}

function only(name: string, change: PackageTransformation): PackageTransformation {
  return mapPackages((pkg) => (pkg.name === name ? change(pkg) : pkg));
}

function mapInputs(
  replace: (input: PackageInput) => PackageInput,
  change: PackageTransformation,
): PackageTransformation {
  return (top) => {
    const done = new Map<SourcePackage, SourcePackage>();
    const inputOf = (input: PackageInput): PackageInput => {
      const replaced = replace(input);
      // What takes a place stays as it is, else a replacement built with the replaced would go round for ever.
      if (replaced !== input) return replaced;
      return isSourcePackage(input) ? visit(input) : input;
    };
    const visit = (pkg: SourcePackage): SourcePackage => {
      const known = done.get(pkg);
      if (known) return known;
      const [inputs, nativeInputs] = [pkg.inputs.map(inputOf), pkg.nativeInputs.map(inputOf)];
      const isSame =
        inputs.every((input, i) => input === pkg.inputs[i]) &&
        nativeInputs.every((input, i) => input === pkg.nativeInputs[i]);
      const fresh = change(isSame ? pkg : inherit(pkg, { inputs, nativeInputs }));
      done.set(pkg, fresh);
      return fresh;
    };
    return visit(top);
  };
}
