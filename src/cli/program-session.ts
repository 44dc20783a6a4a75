import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { cwd, env } from "node:process";
import { lockName, lockPlace } from "../build/lock-place.ts";
import type { BuildSession } from "../build/session.ts";
import { defaultStoreDirectory, openStore, type Store } from "../store/store.ts";
import type { CommandContext } from "./command.ts";

/** The session of a command that works on a person's program. */
export function programSession(context: CommandContext, file: string): BuildSession {
  const { lock } = context.options;
  return session(context, typeof lock === "string" ? resolve(lock) : lockPlace(file));
}

/**
 * The session of a command that works on no program: with the lock of the folder it runs in, or else with one in
 * the store, so that a search leaves no file behind.
 */
export function folderSession(context: CommandContext): BuildSession {
  const { lock } = context.options;
  if (typeof lock === "string") return session(context, resolve(lock));
  const nearest = lockPlace(join(cwd(), "program.ts"));
  const store = storeOf(context);
  return session(context, existsSync(nearest) ? nearest : join(store.directory, lockName), store);
}

function session(context: CommandContext, lockFile: string, store = storeOf(context)): BuildSession {
  const { report, signal } = context;
  return { store, lockFile, report, signal, stages: new Map() };
}

/** The store that `--store`, or else the environment, names. */
export function storeOf({ options }: CommandContext): Store {
  return openStore(typeof options.store === "string" ? resolve(options.store) : defaultStoreDirectory(env));
}
