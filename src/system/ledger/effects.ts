/**
 * What a package's maintainer scripts would leave on a first installation, as data: read from the scripts
 * themselves where their text says it literally, declared by a recipe of the ledger otherwise.
 */
export interface Effects {
  readonly users?: readonly UserEffect[];
  readonly groups?: readonly string[];
  readonly directories?: readonly (OwnedPath & { readonly mode: number })[];
  readonly files?: readonly (OwnedPath & { readonly mode: number; readonly text: string })[];
  /** Templates put in place: contents from `from`, a file of some package. */
  readonly copies?: readonly (OwnedPath & { readonly from: string; readonly mode?: number })[];
  readonly links?: readonly LinkEffect[];
  /** Other owner or mode for a path that exists by then (dpkg-statoverride, chmod, chown). */
  readonly attributes?: readonly AttributeEffect[];
  readonly alternatives?: readonly AlternativeEffect[];
  readonly diversions?: readonly DiversionEffect[];
  /** File capabilities, as the value of the extended attribute `security.capability` in hexadecimal. */
  readonly capabilities?: readonly { readonly path: string; readonly value: string }[];
  /** Programs that people may have as their login shell, for /etc/shells. */
  readonly shells?: readonly string[];
}

interface OwnedPath {
  readonly path: string;
  /** By name; root when left out. */
  readonly user?: string;
  readonly group?: string;
}

export interface LinkEffect {
  readonly path: string;
  readonly target: string;
  /** Only where some package brings this folder. */
  readonly ifFolder?: string;
}

export interface UserEffect {
  readonly name: string;
  /** Primary group; a group of the same name when left out. */
  readonly group?: string;
  readonly supplementaryGroups?: readonly string[];
  readonly home?: string;
  readonly shell?: string;
  readonly comment?: string;
}

export interface AttributeEffect {
  readonly path: string;
  readonly mode?: number;
  readonly user?: string;
  readonly group?: string;
  /** The group is the user's login group. */
  readonly loginGroup?: boolean;
  /** dpkg-statoverride: dpkg's database records it too. */
  readonly registered?: boolean;
  /** Everything below the path as well. */
  readonly recursive?: boolean;
}

export interface AlternativeEffect {
  readonly link: string;
  readonly name: string;
  readonly path: string;
  readonly priority: number;
  readonly slaves: readonly { readonly link: string; readonly name: string; readonly path: string }[];
}

export interface DiversionEffect {
  readonly path: string;
  readonly to: string;
}

/** One value out of several, in their order. */
export function joinEffects(all: readonly Effects[]): Required<Effects> {
  return {
    users: all.flatMap((effects) => effects.users ?? []),
    groups: all.flatMap((effects) => effects.groups ?? []),
    directories: all.flatMap((effects) => effects.directories ?? []),
    files: all.flatMap((effects) => effects.files ?? []),
    copies: all.flatMap((effects) => effects.copies ?? []),
    links: all.flatMap((effects) => effects.links ?? []),
    attributes: all.flatMap((effects) => effects.attributes ?? []),
    alternatives: all.flatMap((effects) => effects.alternatives ?? []),
    diversions: all.flatMap((effects) => effects.diversions ?? []),
    capabilities: all.flatMap((effects) => effects.capabilities ?? []),
    shells: all.flatMap((effects) => effects.shells ?? []),
  };
}
