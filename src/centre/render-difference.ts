import { formatLocation } from "../base/location.ts";
import { printable } from "../base/printable.ts";
import type { ManifestCheck, ManifestFileSystem } from "../system/manifest.ts";
import type { PackageNews } from "./package-news.ts";
import type { DescribedGroup, DescribedOrigin, DescribedUnit, DescribedUser } from "./system-description.ts";
import type {
  Change,
  FileDifference,
  PackageDifference,
  ServiceDifference,
  ServiceReason,
  SystemDifference,
} from "./system-difference.ts";
import { isEmptyDifference } from "./system-difference.ts";

export interface RenderOptions {
  /** Also every entry of the changelogs, the text of files that come or go, and packages of the tools. */
  readonly verbose?: boolean;
}

/**
 * A difference as lines of plain text, most important first: what services will differ, packages with the
 * vulnerabilities they mend, files with their diffs and the line that wrote them, then the rest.
 */
export function renderDifference(
  difference: SystemDifference,
  news: readonly PackageNews[],
  { verbose = false }: RenderOptions = {},
): string[] {
  if (isEmptyDifference(difference)) return ["nothing changes"];
  const lines = [
    summaryLine(difference, news),
    ...section("services", difference.services.map(serviceLine)),
    ...section("packages", packageLines(difference.packages, news, verbose)),
    ...section(
      "files",
      difference.files.flatMap((file) => fileLines(file, verbose)),
    ),
    ...section("accounts", [
      ...difference.users.map((change) => changeLine(change, userWords)),
      ...difference.groups.map((change) => changeLine(change, groupWords)),
    ]),
    ...section("units", difference.units.map(unitLine)),
    ...section("kernel arguments", argumentLines(difference.kernelArguments)),
    ...section(
      "file systems",
      difference.fileSystems.map((change) => changeLine(change, fileSystemWords)),
    ),
    ...section(
      "checks",
      difference.checks.map((change) => changeLine(change, checkWords)),
    ),
    ...section("settings", [
      ...difference.settings.map(({ title, before, after }) => `${title}: ${before ?? "—"} → ${after ?? "—"}`),
      ...wishLines(difference.wishes),
    ]),
  ];
  return lines.map(printable);
}

/** One line that says how much changes: `2 packages (3 CVEs), 1 file, services: openssh`. */
export function summaryLine(difference: SystemDifference, news: readonly PackageNews[]): string {
  const { packages, files, users, groups, units, kernelArguments, checks, fileSystems, settings, services } =
    difference;
  const mended = cvesOf(news, "brings");
  const lost = cvesOf(news, "loses");
  const told = [
    ...(mended > 0 ? [`${count(mended, "CVE")} mended`] : []),
    ...(lost > 0 ? [`${count(lost, "CVE")} open again`] : []),
  ];
  const names = new Set(packages.map(({ name }) => name));
  const parts = [
    ...(names.size > 0 ? [`${count(names.size, "package")}${told.length > 0 ? ` (${told.join(", ")})` : ""}`] : []),
    ...counted(files.length, "file"),
    ...counted(users.length + groups.length, "account"),
    ...counted(units.length, "unit"),
    ...(kernelArguments ? ["kernel arguments"] : []),
    ...counted(fileSystems.length, "file system"),
    ...counted(checks.length, "check"),
    ...counted(settings.length, "setting"),
    ...(services.length > 0 ? [`services: ${services.map(({ service }) => service).join(", ")}`] : []),
  ];
  return parts.length === 0 ? "only what is asked for by name changes" : parts.join(", ");
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`${title}:`, ...lines.map((line) => (line === "" ? "" : `  ${line}`))];
}

function counted(number: number, what: string): string[] {
  return number === 0 ? [] : [count(number, what)];
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

function cvesOf(news: readonly PackageNews[], direction: PackageNews["direction"]): number {
  return new Set(news.filter((one) => one.direction === direction).flatMap(({ cves }) => cves)).size;
}

function serviceLine({ service, kind, where, reasons }: ServiceDifference): string {
  const place = where ? ` (${formatLocation(where)})` : "";
  if (kind !== "changed") return `${kind === "added" ? "+" : "-"} ${service}${place}`;
  const words = [...new Set(reasons.map(reasonWords))];
  return `~ ${service}${place}: ${words.join(", ")}`;
}

function reasonWords(reason: ServiceReason): string {
  switch (reason.kind) {
    case "package":
      return `package ${reason.package}`;
    case "dependency":
      return `${reason.package} of ${reason.of}`;
    case "configuration":
      return `configuration ${reason.path}`;
    case "unit":
      return `unit ${reason.unit}`;
  }
}

const marks = { added: "+", removed: "-", upgraded: "↑", downgraded: "↓", rebuilt: "~", changed: "~" } as const;

/** Packages of one source and one way together, with its news behind them. */
function packageLines(
  packages: readonly PackageDifference[],
  news: readonly PackageNews[],
  verbose: boolean,
): string[] {
  const once = new Map(packages.map((one) => [`${one.name} ${versions(one)}`, one]));
  const groups = [...Map.groupBy(once.values(), (one) => groupKey(one)).values()];
  const newsFor = Map.groupBy(
    news,
    (one) =>
      groups.find(([first]) => isAbout(one, first!, true)) ?? groups.find(([first]) => isAbout(one, first!, false)),
  );
  return groups.flatMap((group) => {
    const { kind } = group[0]!;
    const part = group.every((one) => (one.after ?? one.before)!.part !== "root") ? ` (${partWords(group[0]!)})` : "";
    const names = group.map(({ name }) => name).join(", ");
    const head = `${marks[kind]} ${names} ${versions(group[0]!)}${part}`;
    return [
      head,
      ...(newsFor.get(group) ?? []).flatMap((one) =>
        newsLines(one, verbose).map((line) => (line === "" ? "" : `    ${line}`)),
      ),
    ];
  });
}

/** News stand behind a package that changed, or else behind one that came in another's place. */
function isAbout(
  { source, before: old, after: now }: PackageNews,
  { before, after }: PackageDifference,
  isExact: boolean,
): boolean {
  if (after?.source !== source || after.sourceVersion !== now) return false;
  return isExact ? before?.source === source && before.sourceVersion === old : before === undefined;
}

function groupKey({ name, kind, before, after }: PackageDifference): string {
  const { source, part } = (after ?? before)!;
  const isMove = before !== undefined && after !== undefined;
  return isMove ? [source, kind, before.version, after.version, part === "root"].join("\0") : name + kind;
}

function versions({ before, after }: PackageDifference): string {
  if (before === undefined || after === undefined) return (after ?? before)!.version;
  return before.version === after.version ? after.version : `${before.version} → ${after.version}`;
}

function partWords({ before, after }: PackageDifference): string {
  return (after ?? before)!.part === "boot" ? "in the boot path" : "writes the boot path";
}

function newsLines(news: PackageNews, verbose: boolean): string[] {
  if (news.unknown !== undefined) return [`its changelog is unknown: ${news.unknown}`];
  const urgent = news.entries.some(({ urgency }) => ["high", "emergency", "critical"].includes(urgency));
  const verb = news.direction === "brings" ? "mends" : "opens again";
  const cves =
    news.cves.length === 0 ? [] : wrapped(`${verb}${urgent ? " (urgency high)" : ""}: `, news.cves, verbose ? 1e6 : 12);
  if (!verbose) return cves;
  const entries = news.entries.flatMap(({ version, distribution, urgency, date, changes }) => [
    `${version} (${distribution}; urgency ${urgency}) ${date}`,
    ...changes.split("\n"),
  ]);
  const more = news.omitted > 0 ? [`… and ${news.omitted} older`] : [];
  return [...cves, ...entries, ...more];
}

/** Words behind a title, as many lines as they need; those above `most` are counted. */
function wrapped(title: string, words: readonly string[], most: number): string[] {
  const shown = words.slice(0, most);
  const rest = words.length - shown.length;
  const lines: string[] = [];
  let line = title;
  for (const [i, word] of [...shown, ...(rest > 0 ? [`and ${rest} more`] : [])].entries()) {
    if (i > 0) line += i < shown.length ? ", " : " ";
    if (line.length + word.length > 100 && line.trim() !== "") {
      lines.push(line.trimEnd());
      line = "  ";
    }
    line += word;
  }
  return [...lines, line];
}

function fileLines(file: FileDifference, verbose: boolean): string[] {
  const { path, kind, attributes, patch, origin, follows } = file;
  const told = [...attributes, ...(follows ? [`names the new ${follows.join(", ")}`] : [])];
  const words = told.length > 0 ? `: ${told.join(", ")}` : "";
  const head = `${marks[kind]} ${path}${words}  ${originWords(origin)}`;
  if (patch === undefined) return [head];
  if ((kind !== "changed" || follows !== undefined) && !verbose) return [head];
  return [head, ...patch.trimEnd().split("\n")];
}

function originWords({ by, where }: DescribedOrigin): string {
  return where ? `(${by}, ${formatLocation(where)})` : `(${by})`;
}

function changeLine<T extends object>({ before, after }: Change<T>, words: (item: T) => Words): string {
  if (before === undefined) return `+ ${inWords(words(after!))}`;
  if (after === undefined) return `- ${inWords(words(before))}`;
  const [was, is] = [words(before), words(after)];
  const changed = Object.entries(is.details).flatMap(([name, value]) =>
    was.details[name] === value ? [] : [`${name} ${was.details[name] || "—"} → ${value || "—"}`],
  );
  return `~ ${is.name}: ${changed.join(", ")}`;
}

interface Words {
  readonly name: string;
  readonly details: Readonly<Record<string, string>>;
}

function inWords({ name, details }: Words): string {
  const told = Object.entries(details).filter(([, value]) => value !== "");
  return told.length === 0 ? name : `${name} (${told.map(([title, value]) => `${title} ${value}`).join(", ")})`;
}

function userWords(user: DescribedUser): Words {
  return {
    name: `user ${user.name}`,
    details: {
      number: String(user.uid),
      group: user.group,
      "more groups": user.supplementaryGroups.join(" "),
      comment: user.comment,
      home: `${user.home}${user.createHome ? "" : " (not made)"}`,
      shell: user.shell,
      password: /^(none|locked)$/.test(user.password) ? user.password : `hash ${user.password.slice(0, 6)}…`,
      kind: user.system ? "system" : "",
    },
  };
}

function groupWords(group: DescribedGroup): Words {
  return {
    name: `group ${group.name}`,
    details: { number: String(group.gid), kind: group.system ? "system" : "" },
  };
}

function unitLine({ before, after }: Change<DescribedUnit>): string {
  const { name, origins } = (after ?? before)!;
  const by = origins[0] ? `  ${originWords(origins[0])}` : "";
  if (before && after) return `~ ${name}: ${before.state} → ${after.state}${by}`;
  return after ? `+ ${name} is ${after.state}${by}` : `- ${name} is no longer ${before!.state}${by}`;
}

function argumentLines(change: SystemDifference["kernelArguments"]): string[] {
  if (change === undefined) return [];
  const count = (words: readonly string[], word: string) => words.filter((one) => one === word).length;
  const words = [...new Set([...change.before, ...change.after])];
  const moved = words.flatMap((word) => {
    const more = count(change.after, word) - count(change.before, word);
    return more === 0 ? [] : [`${more > 0 ? "+" : "-"} ${word}`];
  });
  return moved.length > 0 ? moved : [`their order: ${change.after.join(" ")}`];
}

function fileSystemWords({ mountPoint, device, type, options, neededForBoot, check }: ManifestFileSystem): Words {
  const named =
    device.kind === "label"
      ? `label ${device.label}`
      : device.kind === "uuid"
        ? `UUID ${device.uuid}`
        : device.kind === "path"
          ? device.path
          : "none";
  return {
    name: mountPoint,
    details: {
      device: named,
      type,
      options: options.join(","),
      boot: neededForBoot ? "needed" : "",
      "file system check": check ? "" : "never",
    },
  };
}

function checkWords(check: ManifestCheck): Words {
  const what =
    check.kind === "unit-active"
      ? `${check.unit} is active`
      : check.kind === "port-answers"
        ? `${check.protocol} port ${check.port} answers`
        : check.command.join(" ");
  return { name: `${check.service}: ${check.name}`, details: { see: what === check.name ? "" : what } };
}

function wishLines(wishes: SystemDifference["wishes"]): string[] {
  const came = wishes.flatMap(({ after }) => after ?? []);
  const gone = wishes.flatMap(({ before }) => before ?? []);
  return [
    ...(came.length > 0 ? [`asked for by name: ${came.join(", ")}`] : []),
    ...(gone.length > 0 ? [`no longer asked for by name: ${gone.join(", ")}`] : []),
  ];
}
