import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { failure } from "../../base/error.ts";
import { openItems } from "../../store/items.ts";
import { logicalStore } from "../../store/store-path.ts";
import { type Command, programOptions } from "../command.ts";
import { namedPackages } from "../package-words.ts";
import { folderSession } from "../program-session.ts";

export const logCommand: Command = {
  positionals: "PACKAGE|PATH",
  minimumPositionals: 1,
  maximumPositionals: 1,
  options: { lock: programOptions.lock },
  examples: ["log hello", "log /meso/store/…-hello-2.10"],
  details: "Prints what the last build of a package said, whether it went well or failed.",
  async run(context) {
    const [wish] = context.positionals as [string];
    const { store } = folderSession(context);
    const log = join(store.directory, "logs", `${basename(await derivationOf())}.log`);
    if (!existsSync(log)) {
      throw failure("no-log", `${wish} has not been built here`, { hint: `meso build ${wish}` });
    }
    context.print(readFileSync(log, "utf8").trimEnd());
    return undefined;

    async function derivationOf(): Promise<string> {
      const items = openItems(store);
      const path = wish.startsWith(items.physicalPath(`${logicalStore}/${"0".repeat(32)}-x`).slice(0, -35))
        ? `${logicalStore}/${basename(wish)}`
        : wish;
      if (!path.startsWith(`${logicalStore}/`)) return (await namedPackages(context, [wish])).wanted[0]!.path;
      if (path.endsWith(".drv")) return path;
      const deriver = items.record(path)?.deriver;
      if (deriver !== undefined) return deriver;
      throw failure("no-log", `nothing was built as ${path} here`);
    }
  },
};
