import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { failure } from "../../base/error.ts";
import type { Builtin } from "../../store/builtin.ts";

/**
 * The tree of the commit that a derivation names, by this machine's git. Neither a person's nor the machine's settings
 * reach it; whether the tree is the right one is told by its hash.
 *
 * @throws MesoError `not-fetched` with git's words, `no-git`.
 */
export const fetchGitBuiltin: Builtin = async ({ derivation, place, work, say, signal }) => {
  const [url, commit] = [derivation.environment.get("url")!, derivation.environment.get("commit")!];
  const repository = join(work, "repository.git");
  const git = (...words: string[]) => runGit(["--git-dir", repository, ...words], say, signal);
  await git("init", "--quiet", "--bare");
  try {
    await git("fetch", "--quiet", "--depth", "1", "--no-tags", "--", url, commit);
  } catch (error) {
    // Old servers give whole branches only: then the commit is looked for in all of them.
    say((error as Error).message);
    await git("fetch", "--quiet", "--tags", "--", url, "+refs/heads/*:refs/heads/*");
  }
  mkdirSync(place("out"));
  await git("--work-tree", place("out"), "checkout", "--quiet", "--force", commit, "--", ".");
};

async function runGit(words: readonly string[], say: (line: string) => void, signal: AbortSignal): Promise<void> {
  const settings = ["core.autocrlf=false", "core.symlinks=true", "core.hooksPath=/dev/null", "core.fsmonitor=false"];
  const child = spawn("git", [...settings.flatMap((one) => ["-c", one]), ...words], {
    stdio: ["ignore", "pipe", "pipe"],
    signal,
    env: {
      PATH: process.env.PATH ?? "/usr/bin:/bin",
      HOME: "/nonexistent",
      LC_ALL: "C",
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_TERMINAL_PROMPT: "0",
      GIT_ATTR_NOSYSTEM: "1",
      ...proxies(),
    },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output = (output + text).slice(-4000);
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("close", resolve).once("error", (error: NodeJS.ErrnoException) => {
      reject(
        error.code === "ENOENT"
          ? failure("no-git", "git cannot be run", { hint: "install the package git" }, error)
          : error,
      );
    });
  });
  if (output.trim() !== "") say(output.trim());
  if (code === 0) return;
  throw failure("not-fetched", `git ${words.find((word) => /^[a-z]+$/.test(word))} failed: ${output.trim()}`);
}

function proxies(): Record<string, string> {
  const names = ["http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY"];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}
