import { fileURLToPath } from "node:url";

/** Where in a program a record was written. Never part of a hash: moving a file changes no system. */
export interface SourceLocation {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/**
 * The place that called `callee`. Node strips types by blanking them, so the positions it reports are
 * those of the TypeScript source.
 */
export function callerLocation(callee: (...args: never[]) => unknown): SourceLocation | undefined {
  const limit = Error.stackTraceLimit;
  const holder: { stack?: string } = {};
  Error.stackTraceLimit = 1;
  Error.captureStackTrace(holder, callee);
  Error.stackTraceLimit = limit;
  const match = /\(?([^()\s]+):(\d+):(\d+)\)?$/m.exec(holder.stack ?? "");
  if (!match) return undefined;
  const file = match[1]!.startsWith("file://") ? fileURLToPath(match[1]!) : match[1]!;
  return { file, line: Number(match[2]), column: Number(match[3]) };
}

/** The place as editors and terminals understand it; relative to `folder` where it lies below. */
export function formatLocation({ file, line, column }: SourceLocation, folder?: string): string {
  const isBelow = folder !== undefined && file.startsWith(`${folder}/`);
  return `${isBelow ? file.slice(folder.length + 1) : file}:${line}:${column}`;
}
