import { formatLocation } from "../base/location.ts";
import { printable } from "../base/printable.ts";
import type { ExplainedPath, PathExplanation, PathMaker } from "./explain-path.ts";
import type { DescribedOrigin } from "./system-description.ts";

/** Where a path comes from, as lines of plain text: each link, then what it leads to. */
export function renderExplanation(explanation: PathExplanation): string[] {
  return linesOf(explanation).map(printable);
}

function linesOf({ path, steps, nearest, remark }: PathExplanation): string[] {
  if (steps.length === 0) {
    return [
      `${path} is not in the system`,
      ...(remark === undefined ? [] : [`  ${remark}`]),
      ...(nearest.length === 0 ? [] : ["  did you mean:", ...nearest.map((other) => `    ${other}`)]),
    ];
  }
  return steps.flatMap((step) => [
    `${step.path}${kindWords(step)}`,
    ...makerLines(step.maker).map((line) => `  ${line}`),
  ]);
}

function kindWords({ kind, target, path }: ExplainedPath): string {
  if (kind === "symlink") return ` → ${target}`;
  if (kind === "hardlink") return ` (the same file as ${target})`;
  return kind === "directory" && path !== "/" ? "/" : "";
}

function makerLines(maker: PathMaker): string[] {
  if (maker.kind === "service") {
    return [`service ${originWords(maker.origin)}`, ...(maker.how === undefined ? [] : [maker.how])];
  }
  if (maker.kind === "step") {
    return [`${maker.step}: ${maker.how}`, ...maker.origins.map((origin) => `asked for by ${originWords(origin)}`)];
  }
  const { package: name, version, source, because, others, how } = maker;
  return [
    `package ${name} ${version}${source === name ? "" : ` (source ${source})`}${others > 0 ? `, and ${others} more` : ""}`,
    ...(how === undefined ? [] : [how]),
    ...because.flatMap(({ package: one, relation, origins }) => [
      ...(relation === undefined ? [] : [`needed by ${one}: ${relation}`]),
      ...(origins === undefined
        ? []
        : origins.length === 0
          ? [`${one} is in every Debian system`]
          : origins.map((origin) => `${one} is asked for by ${originWords(origin)}`)),
    ]),
  ];
}

function originWords({ by, where }: DescribedOrigin): string {
  return where ? `${by} (${formatLocation(where)})` : by;
}
