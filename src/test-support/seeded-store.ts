import { copyFileSync, cpSync, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { downloadOptions } from "../build/channel.ts";
import { openSystem } from "../build/open-system.ts";
import { allPackages, prepareSystem } from "../build/prepare.ts";
import { downloadAll } from "../debian/download.ts";
import type { ResolvedPackage } from "../debian/resolve.ts";
import { projectFolder } from "./meso-process.ts";
import { testCacheFolder, testSession } from "./test-session.ts";

/** A folder for a test's programs, stores and images, beside the tests' own store so that archives can be linked. */
export interface Workplace {
  readonly folder: string;
  /** Path of a program in the folder, with the lock beside it. */
  readonly program: (name: string) => string;
  /** Each archive that the programs are made of. */
  readonly archives: readonly ResolvedPackage[];
  /** A new store that holds the archives and nothing made from them. */
  readonly coldStore: (name: string) => string;
  readonly remove: () => void;
}

/**
 * Puts `programs` (text by file name) and the example `mini-1.ts` into a fresh folder, and fetches the archives that
 * they need into the tests' own store.
 */
export async function workplace(programs: Readonly<Record<string, string>> = {}): Promise<Workplace> {
  const session = testSession();
  const folder = mkdtempSync(join(testCacheFolder(), "work-"));
  const program = (name: string) => join(folder, "programs", name);
  mkdirSync(program("."));
  copyFileSync(join(projectFolder, "examples/mini-1.ts"), program("mini-1.ts"));
  for (const [name, text] of Object.entries(programs)) writeFileSync(program(name), text);

  const archives = new Map<string, ResolvedPackage>();
  for (const name of readdirSync(program("."))) {
    const prepared = await prepareSystem(session, await openSystem(program(name)));
    for (const one of allPackages(prepared)) archives.set(one.sha256, one);
  }
  await downloadAll(
    [...archives.values()].map(({ archive, filename, sha256, size }) => ({ archive, path: filename, sha256, size })),
    downloadOptions(session),
  );
  copyFileSync(session.lockFile, program("meso.lock"));

  const coldStore = (name: string): string => {
    const store = join(folder, name);
    mkdirSync(join(store, "archives"), { recursive: true });
    for (const sha256 of archives.keys()) {
      linkSync(session.store.archivePath(sha256), join(store, "archives", `${sha256}.deb`));
    }
    cpSync(session.store.indicesDirectory, join(store, "indices"), { recursive: true });
    return store;
  };
  return {
    folder,
    program,
    archives: [...archives.values()],
    coldStore,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
