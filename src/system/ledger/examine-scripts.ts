import { sha256 } from "../../base/hash.ts";
import { type Effects, joinEffects } from "./effects.ts";
import { effectsOfCommand } from "./known-commands.ts";
import type { PathOracle } from "./shell-conditions.ts";
import { reduceScript } from "./shell-reduce.ts";

/** The scripts that dpkg runs when a package comes; `config` only asks debconf, removals never happen here. */
export type InstallScript = "preinst" | "postinst";

export interface ExaminedScript {
  readonly script: InstallScript;
  /** SHA-256 of the script as shipped. */
  readonly sha256: string;
  /** What is neither known nor understood, as text; empty for a script that is accounted for. */
  readonly residue: string;
  /** SHA-256 of the residue: stays when comments, upgrade-only branches or generated fragments change. */
  readonly residueSha256: string;
  /** What the understood part leaves. */
  readonly effects: Required<Effects>;
}

export interface ScriptedPackage {
  readonly name: string;
  readonly controlFiles: Readonly<Record<string, string>>;
  readonly entries: readonly { readonly path: string; readonly kind: "file" | "directory" | "symlink" | "hardlink" }[];
}

/** Reads a package's maintainer scripts, running nothing. */
export function examineScripts(debian: ScriptedPackage): ExaminedScript[] {
  const kindOf = pathOracle(debian);
  return (["preinst", "postinst"] as const).flatMap((script) => {
    const source = debian.controlFiles[script];
    if (source === undefined) return [];
    const found: Effects[] = [];
    const { residue } = reduceScript(source, { script, package: debian.name }, kindOf, (command, certain) => {
      const effects = effectsOfCommand(command, script, kindOf);
      if (effects === undefined) return false;
      if (effects === "nothing") return true;
      if (certain) found.push(effects);
      return certain;
    });
    const normal = normalise(residue, debian);
    return [{ script, sha256: sha256(source), residue, residueSha256: sha256(normal), effects: joinEffects(found) }];
  });
}

/** A kernel's package name carries its version, which says nothing about what the script does. */
function normalise(residue: string, debian: ScriptedPackage): string {
  const release = /^linux-image-(\d.*)$/.exec(debian.name)?.[1];
  return release === undefined ? residue : residue.replaceAll(release, "RELEASE");
}

/** Where only administrators and packages' scripts write: on a first installation, only the package's own files are there. */
const stateFolders = /^\/(etc|var|root|srv|mnt|opt|media|home|run|usr\/local)(\/|$)/;

function pathOracle(debian: ScriptedPackage): PathOracle {
  const own = new Map(
    debian.entries.map(({ path, kind }) => [merged(path), kind === "hardlink" ? "file" : kind] as const),
  );
  return (path) => {
    const plain = merged(path.replace(/\/+$/, ""));
    return own.get(plain) ?? (stateFolders.test(plain) ? "nothing" : undefined);
  };
}

function merged(path: string): string {
  return path.replace(/^\/(bin|sbin|lib|lib32|lib64|libx32)(?=\/)/, "/usr/$1");
}
