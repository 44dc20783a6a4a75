import { readFileSync } from "node:fs";
import { failure } from "../base/error.ts";
import { type BinaryCache, openBinaryCache } from "../store/binary-cache.ts";
import { configuredCaches } from "../store/cache-settings.ts";
import { makeCacheKey, readPublicKey } from "../store/narinfo.ts";
import type { Store } from "../store/store.ts";
import type { CommandContext } from "./command.ts";

/** Options of the commands that ask caches. */
export const cacheOptions = {
  cache: {
    type: "string",
    placeholder: "URL",
    multiple: true,
    description: "ask this cache instead of those of meso caches; again for more, the preferred one first",
  },
  "trusted-key": {
    type: "string",
    placeholder: "KEY",
    multiple: true,
    description: "believe what this key has signed: NAME:BASE64 (with --cache)",
  },
} as const;

/** The caches that a command line names, or else those of the store. */
export function chosenCaches({ options }: CommandContext, store: Store): readonly BinaryCache[] {
  const addresses = (options.cache ?? []) as readonly string[];
  const keys = ((options["trusted-key"] ?? []) as readonly string[]).map(readPublicKey);
  if (addresses.length === 0 && keys.length > 0) {
    throw failure("usage", "--trusted-key was said without --cache", { hint: "meso caches add keeps both" });
  }
  if (addresses.length === 0) return configuredCaches(store);
  return addresses.map((address) => openBinaryCache(address, keys));
}

/** The option that names a file with a secret key. */
export const keyOption = {
  key: { type: "string", placeholder: "FILE", description: "sign with the secret key in this file (meso store key)" },
} as const;

/** @throws MesoError `no-such-file`, `bad-cache-key`: a wrong key is told before anything is done. */
export function secretKeyOf({ options }: CommandContext): string | undefined {
  if (typeof options.key !== "string") return undefined;
  let text: string;
  try {
    text = readFileSync(options.key, "utf8").trim();
  } catch (error) {
    throw failure("no-such-file", `the key ${options.key} cannot be read: ${(error as Error).message}`);
  }
  checkSecretKey(text);
  return text;
}

function checkSecretKey(text: string): void {
  const name = text.split(":")[0]!;
  const secret = Buffer.from(text.slice(name.length + 1), "base64");
  const half = secret.length === 64 ? makeCacheKey(name, secret.subarray(0, 32)) : undefined;
  if (half?.secret === text) return;
  throw failure("bad-cache-key", "this is not a secret key of a binary cache", {
    expected: "NAME:BASE64 of 64 bytes, as meso store key writes it",
  });
}
