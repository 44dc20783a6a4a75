import type { Problem } from "../base/error.ts";
import { nearestHint } from "../base/nearest.ts";
import type { FileTree } from "../store/file-tree.ts";
import type { SystemManifest } from "./manifest.ts";

const zoneFolder = "/usr/share/zoneinfo/";
const localeFolder = "/usr/lib/locale/";

/** Names in the record that only the packages can tell from mistakes: without its file a zone is silently UTC. */
export function unknownNameProblems(manifest: SystemManifest, tree: FileTree): Problem[] {
  return [...timezoneProblems(manifest, tree), ...localeProblems(manifest, tree)];
}

function timezoneProblems({ files }: SystemManifest, tree: FileTree): Problem[] {
  const link = files.find(({ path }) => path === "/etc/localtime");
  if (link?.kind !== "symlink" || !link.target.startsWith(zoneFolder)) return [];
  const found = tree.get(link.target);
  if (found !== undefined && found.kind !== "directory") return [];
  const name = link.target.slice(zoneFolder.length);
  const nearest = nearestHint(name, namesBelow(tree, zoneFolder, /^[A-Z][^.]*$/));
  return [
    {
      code: "unknown-time-zone",
      what: `no package of the system brings the time zone ${name}`,
      field: "timezone",
      ...(link.origin.where && { where: link.origin.where }),
      // Debian keeps names that the database has given up apart.
      hint: nearest.hint ?? "names of former days, such as US/Pacific, are in the package tzdata-legacy",
    },
  ];
}

function localeProblems({ files }: SystemManifest, tree: FileTree): Problem[] {
  const settings = files.find(({ path }) => path === "/etc/locale.conf");
  const name = settings?.kind === "file" ? /^LANG=(.*)$/m.exec(settings.text)?.[1] : undefined;
  if (settings === undefined || name === undefined || name === "POSIX" || name === "C") return [];
  // One archive of all locales, which only the C library can read.
  if (tree.has(`${localeFolder}locale-archive`) || tree.has(localeFolder + normalised(name))) return [];
  const known = namesBelow(tree, localeFolder, /^[^/]+$/).map((folder) => folder.replace(/\.utf8$/, ".UTF-8"));
  return [
    {
      code: "unknown-locale",
      what: `no package of the system brings the locale ${name}`,
      field: "locale",
      ...(settings.origin.where && { where: settings.origin.where }),
      ...nearestHint(name, known),
    },
  ];
}

/** As the C library looks for it: the encoding in small letters and digits (_nl_normalize_codeset). */
function normalised(name: string): string {
  return name.replace(/\.([^@]+)/, (_, encoding: string) => `.${encoding.toLowerCase().replace(/[^a-z0-9]/g, "")}`);
}

function namesBelow(tree: FileTree, folder: string, wanted: RegExp): string[] {
  const below = [...tree.keys()].filter((path) => path.startsWith(folder)).map((path) => path.slice(folder.length));
  return below.filter((name) => wanted.test(name));
}
