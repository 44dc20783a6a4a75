import { MesoError, type Problem } from "../../base/error.ts";
import type { FileTree } from "../../store/file-tree.ts";
import type { ManifestConfigurationCheck, SystemManifest } from "../manifest.ts";

/** Runs a program of the finished tree on the configuration in it; what it said when it refuses, else undefined. */
export type Judge = (check: ManifestConfigurationCheck, tree: FileTree) => Promise<string | undefined>;

/**
 * Asks the programs of a system what they think of the configurations that it holds for them.
 *
 * @throws MesoError `configuration-refused` with the words of each that refuses, and the place of the service.
 */
export async function judgeConfigurations(
  { configurationChecks }: Pick<SystemManifest, "configurationChecks">,
  tree: FileTree,
  judge: Judge,
): Promise<void> {
  const verdicts = await Promise.all(configurationChecks.map((check) => judge(check, tree)));
  const problems = configurationChecks.flatMap((check, index): Problem[] => {
    const said = verdicts[index];
    if (said === undefined) return [];
    const { name, origin } = check;
    return [
      {
        code: "configuration-refused",
        what: `${name} refuses the configuration of ${origin.by}:\n${said}`,
        ...(origin.where && { where: origin.where }),
      },
    ];
  });
  if (problems.length > 0) throw new MesoError(problems);
}
