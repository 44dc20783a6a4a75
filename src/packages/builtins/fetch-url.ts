import { createHash } from "node:crypto";
import { copyFileSync, createWriteStream, existsSync, statSync } from "node:fs";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { failure, MesoError, type Problem } from "../../base/error.ts";
import { backOff, createFetcher, type Fetcher, FetchFault, mirrorUrl } from "../../debian/fetch.ts";
import { type Archive, type Mirrors, readMirrors } from "../../debian/mirror.ts";
import type { Builtin } from "../../store/builtin.ts";

/**
 * Fetches the file that a derivation fixes, from the first of the addresses in its variable `urls` (one a line) that has
 * it: `http:`, `https:`, `file:`, and `mirror://debian/…` or `mirror://security/…` for files of Debian's archives, which
 * come from wherever this machine takes them. An archive that the store has is not fetched again.
 *
 * @throws MesoError `not-fetched` with what each address answered.
 */
export const fetchUrlBuiltin: Builtin = async ({ store, derivation, place, say, signal }) => {
  const digest = derivation.outputs.get("out")!.fixed!.digest;
  const target = place("out");
  const archive = store.archivePath(digest);
  if (existsSync(archive) && statSync(archive).isFile()) {
    copyFileSync(archive, target);
    return;
  }
  let mirrors: Mirrors | undefined;
  const known = () => {
    mirrors ??= readMirrors();
    return mirrors;
  };
  const urls = derivation.environment
    .get("urls")!
    .split("\n")
    .flatMap((url) => addressesOf(url, known));
  const proxy = mirrors?.proxy ?? proxyOfVariables();
  const fetcher = createFetcher({ proxy, signal });
  try {
    await download(fetcher, urls, digest, target, say);
  } finally {
    fetcher.close();
  }
};

/**
 * The file at the first address that has the one with this SHA-256, written to `target`.
 *
 * @param digest undefined takes whatever the first address that answers has.
 * @returns the SHA-256 of what was written.
 * @throws MesoError `not-fetched`; the signal's reason.
 */
export async function download(
  fetcher: Fetcher,
  urls: readonly string[],
  digest: string | undefined,
  target: string,
  say: (line: string) => void = () => {},
): Promise<string> {
  const problems: Problem[] = [];
  for (const url of urls) {
    for (let attempt = 0; ; attempt++) {
      try {
        say(`fetching ${url}`);
        const found = await fetchInto(fetcher, url, target);
        if (digest === undefined || found === digest) return found;
        problems.push({ code: "hash-mismatch", what: `${url} has SHA-256 ${found}`, expected: digest });
        break;
      } catch (error) {
        fetcher.options.signal?.throwIfAborted();
        if (!(error instanceof FetchFault)) throw error;
        const tries = error.kind === "passing" ? 4 : error.kind === "absent" ? 2 : 1;
        if (attempt + 1 < tries) {
          await backOff(fetcher, attempt);
          continue;
        }
        problems.push({ code: "not-fetched", what: error.message });
        break;
      }
    }
  }
  for (const { what } of problems) say(what);
  throw new MesoError(problems.length > 0 ? problems : [{ code: "not-fetched", what: "no address is given" }]);
}

/** `mirror://debian/pool/…` stands for that path on each mirror of this machine. */
export function addressesOf(url: string, mirrors: () => Mirrors): readonly string[] {
  const match = /^mirror:\/\/(debian|security)\/(.+)$/.exec(url);
  if (match) {
    const archive: Archive = match[1] === "debian" ? "main" : "security";
    return mirrors()[archive].map((base) => mirrorUrl(base, match[2]!));
  }
  if (/^(https?:\/\/[^/]|file:\/)/.test(url) && URL.canParse(url)) return [url];
  throw failure("bad-url", `found the address ${JSON.stringify(url)}`, {
    expected: "https:, http:, file: or mirror://debian/…",
  });
}

/** Proxies as the variables of the environment say, in the form that Node's agents take. */
export function proxyOfVariables(variables: NodeJS.ProcessEnv = process.env): Record<string, string> {
  const http = variables.http_proxy;
  const https = variables.https_proxy ?? variables.HTTPS_PROXY;
  const none = variables.no_proxy ?? variables.NO_PROXY;
  return {
    ...(http && { HTTP_PROXY: http }),
    ...(https && { HTTPS_PROXY: https }),
    ...(none && { NO_PROXY: none }),
  };
}

async function fetchInto(fetcher: Fetcher, url: string, target: string): Promise<string> {
  const { body } = await fetcher.open(url);
  const hash = createHash("sha256");
  const hashing = new Transform({
    transform(chunk: Buffer, _, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  try {
    await pipeline(body, hashing, createWriteStream(target));
  } catch (error) {
    throw new FetchFault("passing", url, (error as Error).message);
  }
  return hash.digest("hex");
}
