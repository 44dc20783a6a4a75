/** What programs import from `mesoforge/packages`: packages built from source. */

export type { BuildSystem } from "./build-system.ts";
export { cmake, copy, gnu, make, meson, python, trivial } from "./build-system.ts";
export type { DebianOrigin, GitOrigin, LocalOrigin, Origin, UrlOrigin } from "./origin.ts";
export { debianSource, fetchUrl, gitCommit, localPath } from "./origin.ts";
export type { Patch } from "./patch.ts";
export { patch, patchFile } from "./patch.ts";
export type { Phase, PhaseChange } from "./phase.ts";
export { afterPhase, beforePhase, removePhase, replacePhase } from "./phase.ts";
export type { PackageInput, SourcePackage } from "./source-package.ts";
export { sourcePackage } from "./source-package.ts";
export type { Microarchitecture, PackageTransformation } from "./transform.ts";
export {
  forMicroarchitecture,
  mapPackages,
  withDebug,
  withFlags,
  withInput,
  withPatch,
  withVersion,
} from "./transform.ts";
