import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { AnyServiceType } from "../language/service-type.ts";
import { serviceCatalogue } from "./catalogue.ts";

const page = new URL("../../docs/services.md", import.meta.url);

test("docs/services.md tells what the catalogue offers (MESO_UPDATE_DOCS=1 writes it)", () => {
  const text = `${introduction}\n${serviceCatalogue().map(chapter).join("\n")}`;
  if (process.env.MESO_UPDATE_DOCS) writeFileSync(page, text);
  assert.ok(readFileSync(page, "utf8") === text, "docs/services.md is not what the catalogue says now");
});

test("each service and each option of the catalogue is described", () => {
  const descriptions = serviceCatalogue().flatMap(({ name, description, options }) => [
    { name, text: description },
    ...Object.entries(options).map(([option, text]) => ({ name: `${name}.${option}`, text })),
  ]);
  assert.deepEqual(
    descriptions.filter(({ text }) => !/^\S.*\.$/.test(text)),
    [],
  );
});

const introduction = `# Services of the catalogue

Written from the catalogue itself by \`MESO_UPDATE_DOCS=1 npm test -- src/services/catalogue.test.ts\`; do not edit.
\`meso system search TERM\` shows the same. How to use services and to write your own: [language.md](language.md).
`;

function chapter({ name, description, options, defaults }: AnyServiceType): string {
  const known = defaults as Readonly<Record<string, unknown>>;
  const rows = Object.entries(options).map(([option, text]) => {
    const value = Object.hasOwn(known, option) ? codeOf(known[option]) : "required";
    return `| \`${option}\` | ${value} | ${inCell(text)} |`;
  });
  const table = rows.length > 0 ? ["| option | default | |", "| --- | --- | --- |", ...rows, ""] : [];
  const camel = name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
  return [`## ${name}`, "", `\`${camel}\`: ${description}`, "", ...table].join("\n");
}

function codeOf(value: unknown): string {
  return inCell(`\`${JSON.stringify(value)?.replace(/ {2,}/g, " ")}\``);
}

function inCell(text: string): string {
  return text.replaceAll("|", "\\|");
}
