import type { Pin } from "./resolve-candidates.ts";

export interface ResolveRequest {
  readonly install: readonly RequestedPackage[];
  /** Debian's name of the machine's architecture: `amd64`. */
  readonly architecture: string;
  readonly foreignArchitectures?: readonly string[];
  /** Whether packages that say `Essential: yes` are part of the set; true unless said otherwise. */
  readonly includeEssential?: boolean;
  /** Whether what packages recommend comes too, where it can: of all packages, or of those with these names. */
  readonly includeRecommends?: boolean | readonly string[];
  /** Names that must not be chosen. */
  readonly exclude?: readonly string[];
  /** By the name of a virtual package, or of an alternative: the package to take where that name is accepted. */
  readonly prefer?: Readonly<Record<string, string>>;
}

export interface RequestedPackage extends Pin {
  readonly name: string;
  /** Unless said otherwise the request's own; a package that only foreign ones have is taken from there. */
  readonly architecture?: string;
}
