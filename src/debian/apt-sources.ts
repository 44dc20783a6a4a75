import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { sortedBy } from "../base/order.ts";

/** One place that the machine's apt fetches binary packages from: one URI with all its suites. */
export interface AptSource {
  readonly uri: string;
  readonly suites: readonly string[];
  readonly components: readonly string[];
  /** Files of keys, fingerprints, or one armored key block, as written. */
  readonly signedBy: readonly string[];
  /** The file that says so, for messages. */
  readonly file: string;
}

/**
 * What apt is configured to fetch from: `sources.list` and `sources.list.d/*.{list,sources}` under
 * `root`/etc/apt, in apt's own order (sources.list(5)). Disabled entries, `deb-src`, and lines that cannot
 * be understood are left out: apt itself complains about the last.
 */
export function readAptSources(root: string): AptSource[] {
  const apt = join(root, "etc/apt");
  const parts = join(apt, "sources.list.d");
  const files = [join(apt, "sources.list"), ...sortedBy(listFolder(parts), (name) => name).map((n) => join(parts, n))];
  return files.flatMap((file) => {
    const text = readIfThere(file);
    if (text === undefined) return [];
    if (file.endsWith(".list")) return parseOneLineSources(text, file);
    return file.endsWith(".sources") ? parseDeb822Sources(text, file) : [];
  });
}

/** `deb [option=value …] URI SUITE COMPONENT…`, one a line. */
export function parseOneLineSources(text: string, file = "sources.list"): AptSource[] {
  return text.split("\n").flatMap((raw) => {
    const line = raw.replace(/#.*/, "").trim();
    const match = /^deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)((?:\s+\S+)*)$/.exec(line);
    if (!match) return [];
    const options = optionMap(match[1] ?? "");
    if (options.get("enabled") === "no") return [];
    const signedBy = (options.get("signed-by") ?? "").split(",").filter((value) => value !== "");
    return [{ uri: match[2]!, suites: [match[3]!], components: words(match[4]!), signedBy, file }];
  });
}

/** Paragraphs of `Types`, `URIs`, `Suites`, `Components`, with `Enabled` and `Signed-By`. */
export function parseDeb822Sources(text: string, file = "debian.sources"): AptSource[] {
  return paragraphs(text).flatMap((fields) => {
    if (!words(fields.get("types") ?? "").includes("deb")) return [];
    if (/^(no|false|without|off|disable|0)$/i.test((fields.get("enabled") ?? "yes").trim())) return [];
    const suites = words(fields.get("suites") ?? "");
    const components = words(fields.get("components") ?? "");
    const signedBy = splitSignedBy(fields.get("signed-by") ?? "");
    return words(fields.get("uris") ?? "").map((uri) => ({ uri, suites, components, signedBy, file }));
  });
}

/** `Acquire::http::Proxy` and its https brother, where an apt.conf states them on one line (apt.conf(5)). */
export function readAptProxies(root: string): { http?: string; https?: string } {
  const apt = join(root, "etc/apt");
  const parts = join(apt, "apt.conf.d");
  const names = listFolder(parts).filter((name) => /^[\w-]+(\.conf)?$/.test(name));
  const proxies: { http?: string; https?: string } = {};
  for (const file of [...sortedBy(names, (name) => name).map((name) => join(parts, name)), join(apt, "apt.conf")]) {
    for (const line of (readIfThere(file) ?? "").split("\n")) {
      const match = /^\s*Acquire::(https?)::Proxy\s+"([^"]*)"\s*;/i.exec(line);
      if (match) proxies[match[1]!.toLowerCase() as "http" | "https"] = match[2]!;
    }
  }
  return proxies;
}

function optionMap(text: string): Map<string, string> {
  return new Map(
    words(text).map((word) => {
      const equals = word.indexOf("=");
      return [word.slice(0, equals < 0 ? undefined : equals).toLowerCase(), equals < 0 ? "" : word.slice(equals + 1)];
    }),
  );
}

/** An embedded key block has " ." for its empty lines, like every multi-line field of deb822(5). */
function splitSignedBy(value: string): string[] {
  if (!value.includes("-----BEGIN PGP")) return words(value.replaceAll(",", " "));
  const lines = value.split("\n").map((line) => (line.trim() === "." ? "" : line.trim()));
  return [`${lines.join("\n").trim()}\n`];
}

function paragraphs(text: string): Map<string, string>[] {
  const found: Map<string, string>[] = [];
  let fields = new Map<string, string>();
  let last = "";
  for (const line of [...text.split("\n"), ""]) {
    if (line.startsWith("#")) continue;
    if (line.trim() === "") {
      if (fields.size > 0) found.push(fields);
      fields = new Map();
      last = "";
      continue;
    }
    const field = /^([^\s:]+):(.*)$/.exec(line);
    if (field) {
      last = field[1]!.toLowerCase();
      fields.set(last, field[2]!.trim());
    } else if (last !== "" && /^\s/.test(line)) {
      fields.set(last, `${fields.get(last)}\n${line}`);
    }
  }
  return found;
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** A file that this user may not read is as good as absent: the choice of mirrors says what is missing. */
function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
