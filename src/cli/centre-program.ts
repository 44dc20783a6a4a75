import { existsSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { cwd, env } from "node:process";
import { failure } from "../base/error.ts";
import type { BuildSession } from "../build/session.ts";
import { type OpenedCentre, openCentre } from "../centre/open-centre.ts";
import { openPlaces, type Places } from "../centre/open-places.ts";
import { type PreparedCentre, prepareCentre } from "../centre/prepare-centre.ts";
import type { CommandContext, OptionSpec } from "./command.ts";
import { programOptions } from "./command.ts";
import { programSession } from "./program-session.ts";

/** Options of every command that works on a centre. */
export const centreOptions = {
  centre: {
    type: "string",
    short: "c",
    placeholder: "FILE",
    description: "the centre's program (default: centre.ts here or above)",
  },
  lock: programOptions.lock,
} as const satisfies Readonly<Record<string, OptionSpec>>;

/** A centre with its drivers, its systems not looked at. */
export interface CentreAtHand extends Places, OpenedCentre {
  readonly session: BuildSession;
}

/** A centre with its drivers, its systems known by hash. */
export interface CentreWork extends Places {
  readonly session: BuildSession;
  readonly centre: PreparedCentre;
}

/** Opens the program and its places, runs `body`, gives connections back. Evaluates no system. */
export async function withCentre<T>(context: CommandContext, body: (at: CentreAtHand) => Promise<T>): Promise<T> {
  const file = centreFile(context);
  const opened = await openCentre(file);
  const places = await openPlaces(opened, { env });
  try {
    return await body({ ...opened, ...places, session: programSession(context, file) });
  } finally {
    places.close();
  }
}

/** The same, with every system prepared: what plans and comparisons need. */
export async function withPreparedCentre<T>(
  context: CommandContext,
  body: (work: CentreWork) => Promise<T>,
): Promise<T> {
  return withCentre(context, async ({ session, pool, hypervisor, close, ...opened }) =>
    body({ session, pool, hypervisor, close, centre: await prepareCentre(session, opened) }),
  );
}

/** The nearest centre.ts, up to the root of the git checkout. */
function centreFile({ options }: CommandContext): string {
  if (typeof options.centre === "string") return options.centre;
  for (let folder = cwd(); ; folder = dirname(folder)) {
    const candidate = join(folder, "centre.ts");
    if (existsSync(candidate)) return relative(cwd(), candidate);
    if (existsSync(join(folder, ".git")) || dirname(folder) === folder) break;
  }
  throw failure("no-centre", "there is no centre.ts here or above", {
    hint: "go to the folder of your centre, or name its program with --centre FILE",
  });
}
