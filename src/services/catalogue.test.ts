import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { baseFileSystems, baseServices, fileSystem, label, operatingSystem } from "../index.ts";
import type { AnyServiceType } from "../language/service-type.ts";
import { lowerSystem } from "../system/lower.ts";
import { serviceCatalogue } from "./catalogue.ts";
import { describedService } from "./described-service.ts";
import { serviceExamples } from "./examples.ts";
import { ipvs, slurmctld, sssd } from "./index.ts";

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

test("each option has a type, and each service an example that a system can hold", () => {
  const described = serviceCatalogue().map(describedService);
  const unknown = described.flatMap(({ name, options }) =>
    options.filter(({ type }) => type === "unknown").map((option) => `${name}.${option.name}`),
  );
  assert.deepEqual(unknown, []);
  const names = described.map(({ name }) => name);
  assert.deepEqual(Object.keys(serviceExamples).sort(), names);
  for (const { name, example, function: call } of described) {
    assert.ok(example?.startsWith(`${call}(`), name);
    const service = serviceExamples[name]!();
    assert.equal(service.type.name, name);
    const others = baseServices.filter((other) => other.type !== service.type);
    const keys = name.startsWith("slurm") ? [serviceExamples.munge!()] : [];
    const fileSystems = [
      fileSystem({ device: label("root"), mountPoint: "/", type: "ext4" }),
      fileSystem({ device: label("home"), mountPoint: "/home", type: "ext4", options: ["grpquota"] }),
      ...baseFileSystems,
    ];
    const hostName = name === "slurmd" ? "cn-1" : "slurm";
    lowerSystem(operatingSystem({ hostName, fileSystems, services: [...others, ...keys, service] }));
  }
});

test("types are told as they were written", () => {
  const { options, records } = describedService(ipvs);
  assert.deepEqual(
    options.map(({ name, type, isRequired }) => ({ name, type, isRequired })),
    [{ name: "virtualServers", type: "VirtualServer[]", isRequired: true }],
  );
  assert.equal(records.length, 1);
  assert.match(records[0]!, /^ {2}way\?: "translated" \| "direct" \| "tunnel";$/m);
  assert.match(records[0]!, /^ {2}scheduler\?: "rr" \| "wrr"/m);
  const types = describedService(sssd).options.map(({ name, type }) => `${name}: ${type}`);
  assert.equal(types[0], 'servers: (Endpoint<"ldap"> | Endpoint<"ldaps">)[]', "of the interface that it extends");
  assert.ok(types.includes("allowGroups: string[]"));
  const slurm = describedService(slurmctld);
  assert.deepEqual(
    slurm.records.flatMap((text) => /^(?:interface|type) (\w+)/m.exec(text)?.[1] ?? []),
    ["SlurmCluster", "SlurmNode", "SlurmHardware", "SlurmHost", "SlurmPartition", "SlurmEnforcement"],
  );
});

const introduction = `# Services of the catalogue

Written from the catalogue itself by \`MESO_UPDATE_DOCS=1 npm test -- src/services/catalogue.test.ts\`; do not edit.
\`meso system search TERM\` and \`meso system describe SERVICE\` show the same. How to use services and to write your own: [language.md](language.md).
`;

function chapter(type: AnyServiceType): string {
  const { name, function: call, description, options, records, example } = describedService(type);
  const rows = options.map((option) => {
    const value = option.isRequired ? "required" : codeOf(option.default ?? "undefined");
    return `| \`${option.name}\` | ${codeOf(option.type)} | ${value} | ${inCell(option.text)} |`;
  });
  const table = rows.length > 0 ? ["| option | type | default | |", "| --- | --- | --- | --- |", ...rows, ""] : [];
  const listing = [...records, example].filter((text) => text !== undefined).join("\n\n");
  return [`## ${name}`, "", `\`${call}\`: ${description}`, "", ...table, "```ts", listing, "```", ""].join("\n");
}

function codeOf(value: string): string {
  return inCell(`\`${value}\``);
}

function inCell(text: string): string {
  return text.replaceAll("|", "\\|");
}
