import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { failure, MesoError } from "../base/error.ts";
import type { SourceLocation } from "../base/location.ts";
import { nearestHint } from "../base/nearest.ts";

/**
 * What Node threw while it ran a person's program, as a problem with its place in that program.
 *
 * @param files of the program, as far as they were reached: absolute paths.
 */
export async function explainProgramError(
  error: unknown,
  path: string,
  entrances: Readonly<Record<string, string>>,
  files: readonly string[],
): Promise<unknown> {
  if (error instanceof MesoError) return error;
  if (!(error instanceof Error)) return failure("program-failed", `${path} threw ${JSON.stringify(error)}`);
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ERR_MODULE_NOT_FOUND") return importNotFound(error);
  const where =
    shownPlace(error.stack ?? "") ??
    stackPlace(error) ??
    (error instanceof SyntaxError ? checkedPlace(files) : undefined);
  const more = where ? { where } : {};
  const missing = /requested module '(.+)' does not provide an export named '(.+)'/.exec(error.message);
  if (missing) {
    const hint = await exportHint(missing[1]!, missing[2]!, entrances);
    return failure("no-such-export", `${missing[1]} exports no ${missing[2]}`, { ...more, ...hint });
  }
  if (code === "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX") {
    const hint = "Node runs TypeScript by removing the types: write no enum, namespace or parameter property";
    return failure("syntax", error.message, { ...more, hint });
  }
  if (error instanceof SyntaxError) return failure("syntax", error.message, more);
  return failure("program-failed", `${path} failed while it ran: ${error.message}`, more, error);
}

function importNotFound(error: Error): MesoError {
  const [, what, importer] = /^Cannot find (?:module|package) '(.+)' imported from (.+)$/.exec(error.message) ?? [];
  if (!what || !importer) return failure("import-not-found", error.message);
  const where = importPlace(importer, what);
  if (!what.startsWith("/")) {
    const hint =
      'programs import from "mesoforge", "mesoforge/packages", "mesoforge/services", "node:…" and files of their own: "./hosts.ts"';
    return failure("import-not-found", `there is no package ${what}`, { ...where, hint });
  }
  const hint = existsSync(`${what}.ts`) ? { hint: `imports need the file's ending: write ${what}.ts` } : {};
  return failure("import-not-found", `there is no file ${what}`, { ...where, ...hint });
}

/** The line of `importer` that names the last part of what it imports. */
function importPlace(importer: string, what: string): { where?: SourceLocation } {
  if (!existsSync(importer)) return {};
  const name = what.slice(what.lastIndexOf("/") + 1);
  const lines = readFileSync(importer, "utf8").split("\n");
  const line = lines.findIndex((text) => /["']/.test(text) && /from|import/.test(text) && text.includes(name));
  return line < 0
    ? {}
    : { where: { file: importer, line: line + 1, column: lines[line]!.search(/["'][^"']*["']/) + 1 } };
}

async function exportHint(
  module: string,
  name: string,
  entrances: Readonly<Record<string, string>>,
): Promise<{ hint?: string }> {
  for (const [other, url] of Object.entries(entrances)) {
    if (other === module) continue;
    if (Object.hasOwn((await import(url)) as object, name)) return { hint: `${other} exports it` };
  }
  const url = entrances[module];
  return url ? nearestHint(name, Object.keys((await import(url)) as object)) : {};
}

/** Of some mistakes (a name declared twice) Node shows the place only where nothing catches them: its checker does. */
function checkedPlace(files: readonly string[]): SourceLocation | undefined {
  for (const file of files) {
    const { status, stderr } = spawnSync(process.execPath, ["--check", file], { encoding: "utf8" });
    const place = status === 0 ? undefined : shownPlace(stderr);
    if (place) return place;
  }
  return undefined;
}

/** The place that Node shows before the stack, with the line's text and a caret below it. */
function shownPlace(text: string): SourceLocation | undefined {
  const match = /^(file:\/\/)?(\/[^\n]*):(\d+)\n(?:[^\n]*\n)*?([ \t]*)\^/.exec(text);
  if (!match) return undefined;
  const file = match[1] ? fileURLToPath(match[1] + match[2]) : match[2]!;
  return { file, line: Number(match[3]), column: match[4]!.length + 1 };
}

/** The first frame of the stack that lies in a file outside this project's own sources. */
function stackPlace(error: Error): SourceLocation | undefined {
  const own = new URL("..", import.meta.url).href;
  for (const line of (error.stack ?? "").split("\n")) {
    const match = /(file:\/\/[^\s)]+?):(\d+)(?::(\d+))?\)?$/.exec(line);
    if (!match || match[1]!.startsWith(own) || match[1]!.includes("/node_modules/")) continue;
    return { file: fileURLToPath(match[1]!), line: Number(match[2]), column: Number(match[3] ?? 1) };
  }
  return undefined;
}
