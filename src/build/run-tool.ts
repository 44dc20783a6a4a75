import { mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { hashOf, sha256 } from "../base/hash.ts";
import { compareBytes, sortedBy } from "../base/order.ts";
import { extractTree } from "../store/extract-tree.ts";
import type { FileEntry, FileTree, TreeEntry } from "../store/file-tree.ts";
import { readContent } from "../store/read-content.ts";
import { runInSandbox } from "../store/sandbox.ts";
import type { SegmentTable } from "../store/segment.ts";
import { toolRoot } from "../store/tool-root.ts";
import { type NewSegmentEntry, writeSegment } from "../store/write-segment.ts";
import { fileAt } from "../system/draft-tree.ts";
import type { RunTool, ToolRun } from "../system/hooks/tool-caches.ts";
import type { BuildSession } from "./session.ts";

/**
 * Runs Debian's own tools in the sandbox on a copy of a part of the tree. What they make is kept as a segment
 * named by the digest of tool, arguments and inputs, so each is run once for the same inputs, ever.
 *
 * @param toolTree where programs and their libraries are taken from; the system's own tree when it is for this host.
 */
export function toolRunner(session: BuildSession, toolTree?: FileTree): RunTool {
  /** What this process runs already is waited for here: whoever waits for the lock looks only now and then. */
  const running = new Map<string, Promise<SegmentTable>>();
  const runOnce = (id: string, run: ToolRun, tree: FileTree): Promise<SegmentTable> => {
    const already = running.get(id);
    if (already) return already;
    const started = runUnderLock(session, run, tree, id).finally(() => running.delete(id));
    running.set(id, started);
    return started;
  };
  return async (run, systemTree) => {
    if (toolTree !== undefined && run.nativeOnly) return new Map();
    const tree = toolTree ?? systemTree;
    const programs = binariesOf(run, tree).map((path) => identityOf(tree, path));
    const id = hashOf({ version: 3, programs, ...inputIdentity(run) });
    const kept = session.store.findSegment(id) ?? (await runOnce(id, run, tree));
    return new Map(
      kept.entries.flatMap((entry) =>
        entry.kind === "file"
          ? [[entry.path, { size: entry.size, content: { kind: "segment", segment: id, offset: entry.offset } }]]
          : [],
      ),
    );
  };
}

function binariesOf({ program, alsoLoads }: ToolRun, tree: FileTree): readonly string[] {
  const loaded = alsoLoads === undefined ? [] : [...tree.keys()].filter((path) => alsoLoads.test(path));
  return [program, ...loaded.sort(compareBytes)];
}

async function runUnderLock(session: BuildSession, run: ToolRun, tree: FileTree, id: string): Promise<SegmentTable> {
  const lock = await session.store.lock(`tool-${id}`, { signal: session.signal });
  try {
    return session.store.findSegment(id) ?? (await runNow(session, run, tree, id));
  } finally {
    lock.release();
  }
}

async function runNow(session: BuildSession, run: ToolRun, tree: FileTree, id: string): Promise<SegmentTable> {
  const { store, signal } = session;
  session.report({ stage: "compose", text: run.name });
  const read = (entry: FileEntry): Uint8Array => readContent(store, entry.content, entry.size);
  const cacheDirectory = join(store.directory, "cache", "tools");
  const binaries = binariesOf(run, tree);
  const { directory: root } = await toolRoot({ tree, binaries, read, cacheDirectory });
  const inputs = [...run.inputs.values()];
  const work = store.scratchPath(inputs.reduce((sum, entry) => sum + (entry.kind === "file" ? entry.size : 0), 0));
  try {
    extractTree(store, new Map([["/", folder], ...run.inputs]), work);
    for (const path of run.outputs) mkdirSync(join(work, dirname(path)), { recursive: true });
    const inside = "/build";
    await runInSandbox({
      root,
      binds: [{ from: work, to: inside, writable: true }],
      command: [run.program, ...run.arguments.map((argument) => argument.replaceAll("{root}", inside))],
      inBackground: run.isShort ?? false,
      timeoutSeconds: 600,
      signal,
    });
    return await writeSegment(store, id, collectOutputs(run, work));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

const folder: TreeEntry = { kind: "directory", mode: 0o755, uid: 0, gid: 0, mtime: 1, origin: "tool" };

function collectOutputs(run: ToolRun, work: string): NewSegmentEntry[] {
  return sortedBy(run.outputs, (path) => path).flatMap((path): NewSegmentEntry[] => {
    const file = join(work, path);
    if (!statSync(file, { throwIfNoEntry: false })?.isFile() || run.inputs.has(path)) return [];
    return [{ kind: "file", path, mode: 0o644, uid: 0, gid: 0, mtime: 1, bytes: readFileSync(file) }];
  });
}

/** What the run depends on beside the tool: contents are named by where they lie in segments, which is by hash. */
function inputIdentity(run: ToolRun): object {
  const inputs = sortedBy(run.inputs, ([path]) => path).map(([path, entry]) => [path, describeEntry(entry)]);
  return { arguments: run.arguments, outputs: run.outputs, inputs: sha256(JSON.stringify(inputs)) };
}

function describeEntry(entry: TreeEntry): unknown {
  if (entry.kind === "directory") return entry.mode;
  if (entry.kind !== "file") return [entry.kind, entry.target];
  const { content } = entry;
  return content.kind === "bytes" ? sha256(content.bytes) : [content.segment, content.offset, entry.size];
}

/** The program itself; the libraries that it finds come from the same closed set of packages and change rarely. */
function identityOf(tree: FileTree, program: string): unknown {
  const entry = fileAt(tree, program);
  return [program, entry ? describeEntry(entry) : null];
}
