import { type DescribedService, wordsOf } from "../services/described-service.ts";

/** All about a service type, for people who read it in a terminal. */
export function serviceText({
  function: call,
  description,
  options,
  records,
  example,
  name,
  brings,
}: DescribedService): string {
  const lines = options.flatMap((option) => [
    `  ${option.name}: ${option.type}`,
    `    ${option.text}`,
    `    ${option.isRequired ? "required" : `default ${option.default ?? "undefined"}`}`,
  ]);
  const declarations = records.flatMap((text) => ["", ...indented(text)]);
  const use =
    example === undefined ? [] : [`import { ${call} } from "mesoforge/services";`, "", ...example.split("\n")];
  return [
    ...[name, `  ${description}`, ""],
    ...lines,
    ...declarations,
    ...(use.length > 0 ? ["", "  Example", "", ...indented(use.join("\n")), ""] : []),
    ...wordsOf(brings).map(({ does, what }) => `  ${does}: ${what.join(", ")}`),
    "",
  ].join("\n");
}

function indented(text: string): string[] {
  return text.split("\n").map((line) => (line === "" ? "" : `  ${line}`));
}
