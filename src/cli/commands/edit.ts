import { spawnSync } from "node:child_process";
import { failure } from "../../base/error.ts";
import { formatLocation } from "../../base/location.ts";
import { openPackages } from "../../build/open-packages.ts";
import { locationOf } from "../../language/record.ts";
import { type Command, exitCodes } from "../command.ts";

export const editCommand: Command = {
  positionals: "PACKAGE",
  minimumPositionals: 1,
  maximumPositionals: 1,
  options: {},
  examples: ["edit hello", "edit packages.ts#pmix_5"],
  details:
    "Opens $VISUAL or $EDITOR at the line that makes a package. Without either, or with --json, tells the place.",
  async run(context) {
    const [wish] = context.positionals as [string];
    const { file, packages } = await openPackages(wish);
    const [one] = packages.values();
    const place = locationOf(one!) ?? { file, line: 1, column: 1 };
    const editor = process.env.VISUAL || process.env.EDITOR;
    if (context.json) return void context.print(JSON.stringify(place, undefined, 2));
    if (!editor) return void context.print(formatLocation(place, process.cwd()));
    // As git does it: the variable may hold options. The line goes before the file in vi, nano and emacs alike.
    const script = `${editor} "$@"`;
    const ended = spawnSync("/bin/sh", ["-c", script, editor, `+${place.line}`, place.file], { stdio: "inherit" });
    if (ended.error) throw failure("no-editor", `${editor} cannot be run: ${ended.error.message}`);
    return ended.status === 0 ? exitCodes.success : exitCodes.failure;
  },
};
