import { openPackages } from "../build/open-packages.ts";
import { type PreparedPackages, preparePackages } from "../build/package-graph.ts";
import type { BuildSession } from "../build/session.ts";
import type { GraphNode } from "../packages/derivation-graph.ts";
import type { SourcePackage } from "../packages/source-package.ts";
import type { CommandContext } from "./command.ts";
import { programSession } from "./program-session.ts";

export interface NamedPackages extends PreparedPackages {
  readonly session: BuildSession;
  /** Absolute path of the first program. */
  readonly file: string;
  readonly packages: readonly SourcePackage[];
  /** Their derivations, in the same order. */
  readonly wanted: readonly GraphNode[];
}

/** The packages that a command's words name (`FILE`, `FILE#NAME`, `NAME`), lowered into the store. */
export async function namedPackages(context: CommandContext, wishes: readonly string[]): Promise<NamedPackages> {
  const opened = await Promise.all(wishes.map((wish) => openPackages(wish)));
  const { file } = opened[0]!;
  const session = programSession(context, file);
  const packages = [...new Set(opened.flatMap((one) => [...one.packages.values()]))];
  const prepared = await preparePackages(session, packages);
  return { ...prepared, session, file, packages, wanted: packages.map((one) => prepared.nodes.get(one)!) };
}
