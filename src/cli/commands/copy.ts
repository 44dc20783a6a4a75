import { availableParallelism } from "node:os";
import { basename, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { failure, type MesoError } from "../../base/error.ts";
import { formatBytes } from "../../base/progress.ts";
import { openBinaryCache } from "../../store/binary-cache.ts";
import { compressions, parseCompression } from "../../store/compression.ts";
import { copyToFolder } from "../../store/copy-items.ts";
import type { Items } from "../../store/items.ts";
import { readPublicKey } from "../../store/narinfo.ts";
import { copyFromRemote, copyToRemote, parseRemoteStore } from "../../store/remote-store.ts";
import { isItemName } from "../../store/store-path.ts";
import { createSubstituter } from "../../store/substitute.ts";
import { keyOption, secretKeyOf } from "../cache-options.ts";
import { type Command, type CommandContext, exitCodes } from "../command.ts";
import { type StoreSession, storeSession } from "../store-session.ts";

export const copy: Command = {
  positionals: "PATH…",
  minimumPositionals: 1,
  maximumPositionals: 10_000,
  options: {
    to: { type: "string", placeholder: "PLACE", description: "a folder, or ssh://[USER@]HOST[:PORT][/STORE]" },
    from: { type: "string", placeholder: "PLACE", description: "a folder, http(s)://…, or ssh://…" },
    ...keyOption,
    compression: { type: "string", placeholder: "NAME", description: `${compressions.join(", ")} (default: zstd)` },
    "trusted-key": {
      type: "string",
      placeholder: "KEY",
      multiple: true,
      description: "take from a folder or server only what this key has signed: NAME:BASE64",
    },
    "no-signatures": { type: "boolean", description: "take from a folder or server whatever it says: it is ours" },
    "remote-program": { type: "string", placeholder: "FILE", description: "what to run over ssh (default: meso)" },
  },
  examples: [
    "copy --to /media/disk ./result --key /etc/meso/cache.key",
    "copy --from /media/disk /meso/store/…-pmix-5.0.3 --trusted-key centre-1:…",
    "copy --to ssh://root@login-1 ./result",
  ],
  details:
    "Copies items with everything that they need; what is there already is not copied. A folder gets the layout of a binary\n" +
    "cache, which any web server may serve and Nix's tools read. Over ssh, meso must be there too.",
  run: async (context) => {
    const session = storeSession(context);
    const { to, from } = context.options;
    if ((typeof to === "string") === (typeof from === "string")) {
      throw failure("usage", "meso copy needs one of --to and --from", { hint: "meso copy --help" });
    }
    const copied = typeof to === "string" ? await copyTo(session, context, to) : await copyFrom(session, context);
    if (context.json) context.print(JSON.stringify(copied, undefined, 2));
    else for (const path of copied) context.print(path);
    return exitCodes.success;
  },
};

async function copyTo({ items, named }: StoreSession, context: CommandContext, to: string): Promise<readonly string[]> {
  const { compression } = context.options;
  const paths = context.positionals.map((said) => named(said).path);
  await items.hold(paths);
  if (to.startsWith("ssh://")) return copyToRemote(items, paths, remoteOf(context, to), context.signal);
  const folder = to.startsWith("file://") ? fileURLToPath(to) : resolve(to);
  if (/^[a-z]+:\/\//.test(to) && !to.startsWith("file://")) {
    throw failure("usage", `found --to ${to}`, { expected: "a folder, or ssh://HOST" });
  }
  const secretKey = secretKeyOf(context);
  let bytes = 0;
  const written = await copyToFolder(items, paths, folder, {
    compression: parseCompression(typeof compression === "string" ? compression : "zstd"),
    parallel: availableParallelism(),
    signal: context.signal,
    ...(secretKey !== undefined && { secretKey }),
    onCopied: ({ narSize }) => {
      bytes += narSize;
      context.report({ stage: "copy", text: formatBytes(bytes) });
    },
  });
  return written.map(({ path }) => path);
}

async function copyFrom({ store, items }: StoreSession, context: CommandContext): Promise<readonly string[]> {
  const from = context.options.from as string;
  const paths = context.positionals.map((said) => saidPath(items, said));
  if (from.startsWith("ssh://")) return copyFromRemote(store, items, paths, remoteOf(context, from), context.signal);
  const keys = ((context.options["trusted-key"] ?? []) as readonly string[]).map(readPublicKey);
  const anyKey = context.options["no-signatures"] === true;
  if (anyKey === keys.length > 0) {
    throw failure("usage", "whose word is to be taken?", { expected: "one of --trusted-key and --no-signatures" });
  }
  const troubles: MesoError[] = [];
  const fetched: string[] = [];
  let bytes = 0;
  const missing = await createSubstituter(store, items, [openBinaryCache(from, anyKey ? undefined : keys)], {
    signal: context.signal,
    onTrouble: (trouble) => troubles.push(trouble),
    onFetched: ({ storePath }) => fetched.push(storePath),
    onBytes: (count) => {
      bytes += count;
      context.report({ stage: "copy", text: formatBytes(bytes) });
    },
  }).substitute(paths);
  if (missing.length === 0) return fetched;
  if (troubles[0]) throw troubles[0];
  throw failure("not-in-cache", `${from} does not have all of ${missing[0]} and what it needs`);
}

function remoteOf({ options }: CommandContext, address: string) {
  const program = options["remote-program"];
  return parseRemoteStore(address, typeof program === "string" ? program : "meso");
}

/** What is to come is not in our store yet: only its path names it. */
function saidPath(items: Items, said: string): string {
  const name = basename(said);
  if (isItemName(name) && (said === name || said === `${items.prefix}/${name}`)) return `${items.prefix}/${name}`;
  throw failure("bad-store-path", `${JSON.stringify(said)} is no path of an item`, {
    expected: `${items.prefix}/HASH-NAME`,
  });
}
