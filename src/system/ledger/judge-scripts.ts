import { MesoError, type Problem } from "../../base/error.ts";
import type { AcknowledgedScript } from "../manifest.ts";
import { recipesFor } from "./all-recipes.ts";
import { type Effects, joinEffects } from "./effects.ts";
import { type ExaminedScript, examineScripts, type ScriptedPackage } from "./examine-scripts.ts";

export interface JudgedPackage {
  readonly name: string;
  readonly effects: Required<Effects>;
  /** One entry for each script that something in it had to be acknowledged for. */
  readonly acknowledged: readonly {
    readonly script: string;
    readonly by: "ledger" | "program";
    readonly why: string;
  }[];
}

export interface VersionedPackage extends ScriptedPackage {
  readonly version: string;
}

/**
 * Settles every maintainer script of the packages: understood, acknowledged by a recipe of the ledger, or by
 * the person's own program.
 *
 * @throws MesoError with one `unknown-maintainer-script` for each script that nobody acknowledges.
 */
export function judgeScripts(
  packages: readonly VersionedPackage[],
  acknowledged: readonly AcknowledgedScript[],
): JudgedPackage[] {
  const problems: Problem[] = [];
  const judged = packages.map((debian): JudgedPackage => {
    const effects: Effects[] = [];
    const notes: { script: string; by: "ledger" | "program"; why: string }[] = [];
    for (const examined of examinedScripts(debian)) {
      effects.push(examined.effects);
      if (examined.residue === "") continue;
      const recipe = recipesFor(debian.name).find(({ residues }) => residues.includes(examined.residueSha256));
      const own = acknowledged.find((word) => isAbout(word, debian.name, examined));
      if (recipe) {
        effects.push(typeof recipe.gives === "function" ? recipe.gives(debian) : (recipe.gives ?? {}));
        notes.push({ script: examined.script, by: "ledger", why: recipe.why });
      } else if (own) notes.push({ script: examined.script, by: "program", why: own.reason });
      else problems.push(unknownScript(debian, examined));
    }
    return { name: debian.name, effects: joinEffects(effects), acknowledged: notes };
  });
  if (problems.length > 0) throw new MesoError(problems);
  return judged;
}

/** What the scripts of an archive do is the same in every system: systems that are composed one after the other share it. */
function examinedScripts(debian: VersionedPackage): readonly ExaminedScript[] {
  const known = examinedOf.get(debian.controlFiles);
  if (known) return known;
  const examined = examineScripts(debian);
  examinedOf.set(debian.controlFiles, examined);
  return examined;
}

const examinedOf = new WeakMap<VersionedPackage["controlFiles"], readonly ExaminedScript[]>();

function isAbout(word: AcknowledgedScript, name: string, examined: ExaminedScript): boolean {
  if (word.package !== name || word.script !== examined.script) return false;
  return word.sha256 === undefined || word.sha256 === examined.sha256 || word.sha256 === examined.residueSha256;
}

const shownLines = 5;

function unknownScript(debian: VersionedPackage, examined: ExaminedScript): Problem {
  const lines = examined.residue.split("\n").filter((line) => line.trim() !== "");
  const shown = lines.slice(0, shownLines).map((line) => line.trim().slice(0, 160));
  const more = lines.length > shownLines ? ` … and ${lines.length - shownLines} lines more` : "";
  return {
    code: "unknown-maintainer-script",
    what: `${debian.name} ${debian.version}: nobody has read what its ${examined.script} does: ${shown.join(" ⏎ ")}${more}`,
    field: "acknowledgedScripts",
    expected: `a script that the ledger knows (this one has the SHA-256 ${examined.residueSha256})`,
    hint:
      `read the script; if your services supply what it does, add { package: "${debian.name}", ` +
      `script: "${examined.script}", sha256: "${examined.residueSha256}", reason: "…" } to acknowledgedScripts`,
  };
}
