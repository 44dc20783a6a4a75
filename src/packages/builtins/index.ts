import type { Builtins } from "../../store/builtin.ts";
import { debianFileBuiltin } from "./debian-file.ts";
import { fetchGitBuiltin } from "./fetch-git.ts";
import { fetchUrlBuiltin } from "./fetch-url.ts";
import { unionBuiltin } from "./union.ts";

/** What derivations of packages ask for by `builtin:NAME`. */
export const packageBuiltins: Builtins = new Map([
  ["debian-file", debianFileBuiltin],
  ["fetch-git", fetchGitBuiltin],
  ["fetch-url", fetchUrlBuiltin],
  ["union", unionBuiltin],
]);
