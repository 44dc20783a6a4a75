import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { baseFileSystems, baseServices, fileSystem, label, operatingSystem } from "../index.ts";
import type { AnyServiceType } from "../language/service-type.ts";
import { lowerSystem } from "../system/lower.ts";
import { serviceCatalogue } from "./catalogue.ts";
import { type DescribedService, describedService, wordsOf } from "./described-service.ts";
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

/** Parts of others, which are looked at and judged there, and what is there once and for all. */
const unseen = [
  ...["administrators", "bastion", "consoles", "dhcp-networking", "qemu-guest-agent", "slurm", "state"],
  ...["static-networking", "users"],
];

/** Who judges what, of those programs that can; a list that only grows. */
const judges: Readonly<Record<string, string>> = {
  ...{ autofs: "automount", bind9: "named-checkconf", caddy: "caddy", chrony: "chronyd", firewall: "nft" },
  ...{ haproxy: "haproxy", keepalived: "keepalived", logrotate: "logrotate", lvm: "lvmconfig" },
  ...{ "mail-relay": "postconf", mariadb: "mariadbd", nginx: "nginx", nslcd: "nslcd", openssh: "sshd" },
  ...{ podman: "quadlet", postgresql: "postgres", rsyslog: "rsyslogd", slapd: "slapadd", slurm: "scontrol" },
  ...{ squid: "squid", sssd: "sssctl", timer: "systemd-analyze", unbound: "unbound-checkconf" },
  ...{ "zabbix-agent": "zabbix_agentd", "zabbix-frontend": "php-fpm", "zabbix-server": "zabbix_server" },
};

test("services are watched, judged by their own checkers, and heard where the firewall lets in", () => {
  const described = serviceCatalogue().map(describedService);
  const unwatched = described.filter(({ brings }) => brings.checks.length === 0).map(({ name }) => name);
  assert.deepEqual(unwatched, unseen);
  const judged = described.filter(({ brings }) => brings.judgedBy.length > 0);
  assert.deepEqual(Object.fromEntries(judged.map(({ name, brings }) => [name, brings.judgedBy[0]])), judges);
  for (const { name, brings } of described) {
    const ports = brings.opens.flatMap((opening) => /^tcp dport (\d+)(?: from|$)/.exec(opening)?.[1] ?? []);
    // The kernel answers for IPVS, and containers may take their time.
    if (["ipvs", "podman"].includes(name)) continue;
    for (const port of ports) assert.ok(brings.checks.includes(`tcp port ${port} answers`), `${name} ${port}`);
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
Examples are of one site: \`hosts\` are those of its inventory, \`waves\` is its Slurm cluster, \`base\` its directory.
`;

function chapter(type: AnyServiceType): string {
  const service = describedService(type);
  const { name, function: call, description, options, records, example } = service;
  const rows = options.map((option) => {
    const value = option.isRequired ? "required" : codeOf(option.default ?? "undefined");
    return `| \`${option.name}\` | ${codeOf(option.type)} | ${value} | ${inCell(option.text)} |`;
  });
  const table = rows.length > 0 ? ["| option | type | default | |", "| --- | --- | --- | --- |", ...rows, ""] : [];
  const listing = [...records, example].filter((text) => text !== undefined).join("\n\n");
  const start = [`## ${name}`, "", `\`${call}\`: ${description}`, "", ...table, "```ts", listing, "```", ""];
  return [...start, ...broughtAbout(service), ""].join("\n").replace(/\n{3,}$/, "\n\n");
}

/** What the example brings about, in a sentence. */
function broughtAbout({ brings }: DescribedService): string[] {
  const parts = wordsOf(brings).map(({ does, what }) => `${does} ${what.map((word) => `\`${word}\``).join(", ")}`);
  return parts.length === 0 ? [] : [`As written here: ${parts.join("; ")}.`];
}

function codeOf(value: string): string {
  return inCell(`\`${value}\``);
}

function inCell(text: string): string {
  return text.replaceAll("|", "\\|");
}
